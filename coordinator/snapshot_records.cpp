#include "coordinator/snapshot_records.h"

#include "coordinator/core/record_key.h"
#include "protocol/codec_bytes.h"
#include "protocol/snapshot.capnp.h"

#include <iterator>

namespace muster::coordinator {
namespace {

constexpr Bytes READ_AT_ONCE = 16_KiB;

// Two pointers, and the bytes of each in whole words.
uint64_t encodedBytes(const StoredRecord& record) {
  auto words = [](size_t bytes) { return (bytes + 7) / 8 * 8; };
  return 16 + words(record.key.size()) + words(record.value.size());
}

}  // namespace

ByteString encodeRecords(const std::vector<StoredRecord>& records) {
  capnp::MallocMessageBuilder message;
  auto list = message.initRoot<schema::SnapshotRecords>().initRecords(
      static_cast<unsigned>(records.size()));
  for (unsigned i = 0; i < list.size(); i++) {
    list[i].setKey(codec::dataOf(records[i].key));
    list[i].setValue(codec::dataOf(records[i].value));
  }
  auto root = message.getRoot<schema::SnapshotRecords>();
  return codec::canonicalBytes<schema::SnapshotRecords>(root.asReader());
}

std::vector<StoredRecord> decodeRecords(const ByteString& payload) {
  return codec::readCanonical<schema::SnapshotRecords>(
      payload, [](schema::SnapshotRecords::Reader root) {
        std::vector<StoredRecord> records;
        records.reserve(root.getRecords().size());
        for (auto record : root.getRecords()) {
          records.push_back({ByteString(codec::bytesOf(record.getKey())),
                             ByteString(codec::bytesOf(record.getValue()))});
        }
        return records;
      });
}

void RecordSum::add(const std::vector<StoredRecord>& records) {
  for (const StoredRecord& record : records) {
    hash_ = addHash(hash_, recordHash(record.key, record.value));
  }
  count_ += records.size();
}

std::optional<ByteString> PayloadCutter::next() {
  std::vector<StoredRecord> cut;
  for (uint64_t bytes = 0;;) {
    if (pending_.empty()) pending_ = view_.nextRecords(READ_AT_ONCE);
    size_t taken = 0;
    while (taken < pending_.size()) {
      uint64_t more = encodedBytes(pending_[taken]);
      if (!cut.empty() && bytes + more > bytesMax_.count) break;
      bytes += more;
      cut.push_back(std::move(pending_[taken++]));
    }
    bool full = taken < pending_.size();
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(taken));
    if (full || taken == 0) break;
  }
  if (cut.empty()) return std::nullopt;
  sum_.add(cut);
  return encodeRecords(cut);
}

}  // namespace muster::coordinator

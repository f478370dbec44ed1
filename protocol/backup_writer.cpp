#include "protocol/backup_writer.h"

#include "protocol/record_hash.h"

#include <utility>

namespace muster {

using namespace backup;  // NOLINT(google-build-using-namespace): the format's own pieces

BackupWriter::BackupWriter(const BackupHeader& header) {
  std::string prefix(MAGIC);
  appendNumber(prefix, BACKUP_FORMAT_VERSION, 4);
  appendNumber(prefix, 0, 4);
  hash_.add(prefix);
  ready_ = std::move(prefix);
  emit(BackupPart::HEADER, encodeHeader(header));
}

void BackupWriter::add(BackupPart part, std::string_view key, std::string_view value) {
  KJ_REQUIRE(part != BackupPart::HEADER && part != BackupPart::END && part >= open_,
             "parts of a backup come in order", static_cast<uint32_t>(part));
  if (part != open_ || payload_.size() >= PAYLOAD_TARGET) closeFrame();
  open_ = part;
  appendNumber(payload_, key.size(), 4);
  payload_.append(key);
  appendNumber(payload_, value.size(), 4);
  payload_.append(value);
  if (part == BackupPart::EVENTS) end_.counts.events++;
  if (part == BackupPart::AUDIT) end_.counts.auditRows++;
  if (part != BackupPart::RECORDS) return;
  end_.counts.records++;
  end_.stateHash = addToHash(end_.stateHash, hashOfRecord(key, value));
}

void BackupWriter::finish() {
  closeFrame();
  end_.fileHash = hash_.value();
  emit(BackupPart::END, encodeEnd(end_));
  open_ = BackupPart::END;
}

std::string BackupWriter::take() { return std::exchange(ready_, std::string()); }

void BackupWriter::closeFrame() {
  if (payload_.empty()) return;
  emit(open_, payload_);
  payload_.clear();
}

void BackupWriter::emit(BackupPart part, std::string_view payload) {
  auto number = static_cast<uint32_t>(part);
  std::string head;
  appendNumber(head, number, 4);
  appendNumber(head, payload.size(), 4);
  appendNumber(head, hashOfFrame(place_, number, payload), 8);
  place_++;
  hash_.add(head);
  hash_.add(payload);
  ready_.append(head).append(payload);
}

}  // namespace muster

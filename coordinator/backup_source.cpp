#include "coordinator/backup_source.h"

#include "coordinator/backup_stream.h"
#include "coordinator/store_format.h"
#include "protocol/backup_reader.h"

#include <kj/debug.h>

namespace muster::coordinator {
namespace {

constexpr size_t PART_ENTRIES = 1000;

// Entries of a backup, put together to parts.
class PartMaker {
 public:
  explicit PartMaker(std::function<void(const BackupSource::Part&)> visit)
      : visit_(std::move(visit)) {}

  void add(BackupPart part, std::string_view key, std::string_view value) {
    if (part != kind_) flush();
    kind_ = part;
    if (part == BackupPart::RECORDS) {
      part_.records.push_back({std::string(key), std::string(value)});
    } else if (part == BackupPart::EVENTS) {
      part_.events.push_back(decodeEvent(value));
    } else {
      part_.audit.push_back(decodeAudit(value));
    }
    if (++count_ >= PART_ENTRIES) flush();
  }
  void flush() {
    if (count_ > 0) visit_(part_);
    part_ = {};
    count_ = 0;
  }

 private:
  std::function<void(const BackupSource::Part&)> visit_;
  BackupPart kind_ = BackupPart::RECORDS;
  BackupSource::Part part_;
  size_t count_ = 0;
};

class FileSource final : public BackupSource {
 public:
  explicit FileSource(std::string path) : path_(std::move(path)) {}

  Result<Done> prove() {
    BackupReader reader;
    auto end = readBackupFile(path_, reader);
    if (!end) return end.refusal();
    header_ = *reader.header();
    end_ = *end;
    return Done{};
  }

  const BackupHeader& header() const override { return header_; }
  const BackupEnd& end() const override { return end_; }
  void read(std::function<void(const Part&)> visit) override {
    PartMaker parts(std::move(visit));
    BackupReader reader([&](BackupPart part, std::string_view key, std::string_view value) {
      parts.add(part, key, value);
    });
    auto end = readBackupFile(path_, reader);
    KJ_REQUIRE(end.ok(), "the backup changed while it was read", end.refusal().text.c_str());
    KJ_REQUIRE(*end == end_, "the backup was replaced while it was read", path_.c_str());
    parts.flush();
  }

 private:
  std::string path_;
  BackupHeader header_;
  BackupEnd end_;
};

// Reads through the same frames as a file, so that both are proven alike.
class StoreSource final : public BackupSource {
 public:
  StoreSource(StateStore& store, const CoordinatorId& id)
      : first_(store.view()), second_(store.view()), id_(id) {
    BackupStream stream(store.view(), {id, "", 1, {}});
    while (!stream.isOver()) stream.next();
    header_ = stream.header();
    end_ = stream.end();
  }

  const BackupHeader& header() const override { return header_; }
  const BackupEnd& end() const override { return end_; }
  void read(std::function<void(const Part&)> visit) override {
    kj::Own<StoreView> view = first_.get() != nullptr ? kj::mv(first_) : kj::mv(second_);
    KJ_REQUIRE(view.get() != nullptr, "the store was read twice already");
    PartMaker parts(std::move(visit));
    BackupReader reader([&](BackupPart part, std::string_view key, std::string_view value) {
      parts.add(part, key, value);
    });
    BackupStream stream(kj::mv(view), {id_, "", 1, {}});
    while (!stream.isOver()) {
      auto fed = reader.feed(stream.next());
      KJ_REQUIRE(fed.ok(), fed.refusal().text.c_str());
    }
    parts.flush();
  }

 private:
  kj::Own<StoreView> first_;
  kj::Own<StoreView> second_;
  CoordinatorId id_;
  BackupHeader header_;
  BackupEnd end_;
};

}  // namespace

Result<kj::Own<BackupSource>> openBackupFile(const std::string& path) {
  auto source = kj::heap<FileSource>(path);
  auto proven = source->prove();
  if (!proven) return proven.refusal();
  return kj::Own<BackupSource>(kj::mv(source));
}

Result<kj::Own<BackupSource>> openStoreAsSource(StateStore& store, const CoordinatorId& id) {
  if (!store.meta() || store.meta()->applied.batch.value == 0) {
    return Refusal{RefusalCode::NOT_FOUND,
                   "the store of coordinator " + id.value + " holds no state"};
  }
  return kj::Own<BackupSource>(kj::heap<StoreSource>(store, id));
}

}  // namespace muster::coordinator

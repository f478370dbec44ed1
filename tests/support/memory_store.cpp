#include "tests/support/memory_store.h"

#include <kj/debug.h>

#include <algorithm>

namespace muster::coordinator {
namespace {

class MemoryView final : public StoreView {
 public:
  explicit MemoryView(MemoryDisk::Content content)
      : content_(std::move(content)), record_(content_.records.begin()) {}

  const StoreMeta& meta() const override { return *content_.meta; }
  std::vector<StoredRecord> nextRecords(Bytes bytesMax) override {
    std::vector<StoredRecord> found;
    for (uint64_t bytes = 0; bytes < bytesMax.count && record_ != content_.records.end();
         ++record_) {
      bytes += record_->first.size() + record_->second.size();
      found.push_back({record_->first, record_->second});
    }
    return found;
  }
  std::vector<Event> nextEvents(size_t countMax) override {
    return next(content_.events, event_, countMax);
  }
  std::vector<AuditEntry> nextAudit(size_t countMax) override {
    return next(content_.audit, row_, countMax);
  }

 private:
  template <class T>
  static std::vector<T> next(const std::vector<T>& all, size_t& from, size_t countMax) {
    std::vector<T> found;
    while (found.size() < countMax && from < all.size()) found.push_back(all[from++]);
    return found;
  }

  MemoryDisk::Content content_;
  std::map<std::string, std::string, std::less<>>::iterator record_;
  size_t event_ = 0;
  size_t row_ = 0;
};

class MemoryReplacement final : public StoreReplacement {
 public:
  explicit MemoryReplacement(MemoryDisk& disk) : disk_(disk) {
    disk_.requireSpace();
    disk_.content = {};
    disk_.before.clear();
  }
  void addRecords(const std::vector<StoredRecord>& records) override {
    disk_.requireSpace();
    for (const StoredRecord& record : records) disk_.content.records[record.key] = record.value;
  }
  void addEvents(const std::vector<Event>& events) override {
    auto& all = disk_.content.events;
    all.insert(all.end(), events.begin(), events.end());
  }
  void addAudit(const std::vector<AuditEntry>& rows) override {
    auto& all = disk_.content.audit;
    all.insert(all.end(), rows.begin(), rows.end());
  }
  void finish(const StoreMeta& meta) override {
    disk_.requireSpace();
    KJ_REQUIRE(!disk_.content.meta, "a store that is being replaced was claimed meanwhile");
    disk_.content.meta = meta;
  }

 private:
  MemoryDisk& disk_;
};

}  // namespace

void MemoryDisk::losePower(size_t batches) {
  batches = std::min(batches, before.size());
  if (batches == 0) return;
  content = before[before.size() - batches];
  before.clear();
  BatchNumber newest = content.meta ? content.meta->applied.batch : BatchNumber{};
  kept.erase(kept.upper_bound(newest), kept.end());
}

void MemoryDisk::requireSpace() {
  if (full) ranFull = true;
  KJ_REQUIRE(!full, "E0707 disk full: the store cannot be written");
}

void MemoryStore::claim(const ClusterName& cluster, const HistoryId& history) {
  if (disk_.content.meta) {
    requireSameHistory(*disk_.content.meta, cluster, history);
    return;
  }
  disk_.requireSpace();
  disk_.content = {};  // what a replacement that was not finished has left
  disk_.content.meta = StoreMeta{cluster, history, {}};
}

void MemoryStore::write(const StoreBatch& batch) {
  auto& content = disk_.content;
  disk_.requireSpace();
  KJ_REQUIRE(content.meta.has_value(), "a store must be claimed before it is written");
  KJ_REQUIRE(batch.position.batch > content.meta->applied.batch, "the store has this batch",
             batch.position.batch.value, content.meta->applied.batch.value);
  if (disk_.unsyncedMax > 0) {
    disk_.before.push_back(content);
    if (disk_.before.size() > disk_.unsyncedMax) disk_.before.erase(disk_.before.begin());
  }
  for (const RecordWrite& record : batch.records) {
    if (record.value) {
      content.records[record.key] = *record.value;
    } else {
      content.records.erase(record.key);
    }
  }
  content.events.insert(content.events.end(), batch.events.begin(), batch.events.end());
  content.audit.insert(content.audit.end(), batch.audit.begin(), batch.audit.end());
  content.meta->applied = batch.position;
  if (!batch.bytes.empty()) disk_.kept[batch.position.batch] = batch.bytes;
  while (disk_.kept.size() > BATCHES_KEPT) disk_.kept.erase(disk_.kept.begin());
  disk_.writes++;
}

void MemoryStore::reset() {
  auto& content = disk_.content;
  KJ_REQUIRE(content.meta.has_value(), "a store must be claimed before it is reset");
  StoreMeta claimed{content.meta->cluster, content.meta->history, {}};
  content = {};
  content.meta = claimed;
  disk_.before.clear();
}

std::optional<ByteString> MemoryStore::batchBytes(BatchNumber number) const {
  auto found = disk_.kept.find(number);
  if (found == disk_.kept.end()) return std::nullopt;
  return found->second;
}
kj::Own<StoreView> MemoryStore::view() const {
  KJ_REQUIRE(disk_.content.meta.has_value(), "a store must be claimed before it is viewed");
  return kj::heap<MemoryView>(disk_.content);
}

kj::Own<StoreReplacement> MemoryStore::replaceAll() { return kj::heap<MemoryReplacement>(disk_); }

void MemoryStore::loadRecords(
    std::function<void(std::string_view key, std::string_view value)> visit) const {
  for (const auto& [key, value] : disk_.content.records) visit(key, value);
}

std::vector<Event> MemoryStore::events(LogIndex after, size_t countMax) const {
  std::vector<Event> found;
  for (const Event& event : disk_.content.events) {
    if (event.index > after) found.push_back(event);
  }
  if (found.size() > countMax)
    found.erase(found.begin(), found.end() - static_cast<ptrdiff_t>(countMax));
  return found;
}

void MemoryStore::loadAudit(std::function<void(const AuditEntry&)> visit) const {
  for (const AuditEntry& entry : disk_.content.audit) visit(entry);
}

}  // namespace muster::coordinator

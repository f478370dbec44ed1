#include "tests/support/memory_store.h"

#include <kj/debug.h>

#include <algorithm>

namespace muster::coordinator {

void MemoryDisk::losePower(size_t batches) {
  batches = std::min(batches, before.size());
  if (batches == 0) return;
  content = before[before.size() - batches];
  before.clear();
  BatchNumber newest = content.meta ? content.meta->applied.batch : BatchNumber{};
  kept.erase(kept.upper_bound(newest), kept.end());
}

void MemoryStore::claim(const ClusterName& cluster, const HistoryId& history) {
  if (disk_.content.meta) {
    requireSameHistory(*disk_.content.meta, cluster, history);
    return;
  }
  KJ_REQUIRE(!disk_.full, "E0707 disk full: the store cannot be written");
  disk_.content.meta = StoreMeta{cluster, history, {}};
}

void MemoryStore::write(const StoreBatch& batch) {
  auto& content = disk_.content;
  KJ_REQUIRE(!disk_.full, "E0707 disk full: the store cannot be written");
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

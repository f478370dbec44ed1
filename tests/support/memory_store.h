// A StateStore in memory with a disk's memory of crashes: what was written survives the object that
// wrote it, what was not is gone. Like the real store it does not sync, so a loss of power may take
// the newest batches, whole.
#pragma once

#include "coordinator/state_store.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace muster::coordinator {

// What outlives the process: hand it to the MemoryStore of the next boot.
struct MemoryDisk {
  struct Content {
    std::optional<StoreMeta> meta;
    std::map<std::string, std::string, std::less<>> records;
    std::vector<Event> events;
    std::vector<AuditEntry> audit;
  };
  Content content;
  std::map<BatchNumber, ByteString> kept;  // the newest BATCHES_KEPT
  std::vector<Content>
      before;              // content before each of the newest `unsyncedMax` batches, oldest first
  size_t unsyncedMax = 0;  // how many batches a loss of power may take
  bool full = false;       // the next write fails as on a full disk
  bool ranFull = false;    // a write has failed so since this was last cleared
  size_t writes = 0;

  // Takes the newest `batches` batches (at most those not synced), as a loss of power does.
  void losePower(size_t batches);
  // Throws when it is full, as a write does.
  void requireSpace();
};

class MemoryStore : public StateStore {
 public:
  explicit MemoryStore(MemoryDisk& disk) : disk_(disk) {}

  std::optional<StoreMeta> meta() const override { return disk_.content.meta; }
  void claim(const ClusterName& cluster, const HistoryId& history) override;
  void write(const StoreBatch& batch) override;
  void reset() override;
  std::optional<ByteString> batchBytes(BatchNumber number) const override;
  kj::Own<StoreView> view() const override;
  kj::Own<StoreReplacement> replaceAll() override;
  void loadRecords(
      std::function<void(std::string_view key, std::string_view value)> visit) const override;
  std::vector<Event> events(LogIndex after, size_t countMax) const override;
  void loadAudit(std::function<void(const AuditEntry&)> visit) const override;

 private:
  MemoryDisk& disk_;
};

}  // namespace muster::coordinator

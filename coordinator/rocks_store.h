// The store on disk: one RocksDB with the column families records, meta, history, audit and
// batches. Written with the write-ahead log but without waiting for the disk: after a loss of power
// the log in the coordination service catches it up.
#pragma once

#include "coordinator/history_store.h"
#include "coordinator/state_store.h"

#include <kj/memory.h>

#include <string>

namespace muster::coordinator {

enum class StoreAccess { READ_WRITE, READ_ONLY };

class RocksStore final : public StateStore, public HistoryStore {
 public:
  // Opens the folder, making it when it may write. Throws FAILED with what was wrong: no such store
  // (read only), another process holds it ("E0710"), a full disk ("E0707"), damage.
  // Events and audit rows of the newest `keptEvents` commands are kept; those of a tenth more may
  // be there.
  RocksStore(const std::string& folder, StoreAccess access, uint64_t keptEvents = UINT64_MAX);
  ~RocksStore() noexcept(false) override;
  KJ_DISALLOW_COPY(RocksStore);

  std::optional<StoreMeta> meta() const override;
  void claim(const ClusterName& cluster, const HistoryId& history) override;
  void write(const StoreBatch& batch) override;
  void reset() override;
  std::optional<ByteString> batchBytes(BatchNumber number) const override;
  kj::Own<StoreView> view() const override;
  kj::Own<StoreReplacement> replaceAll() override;
  void loadRecords(
      std::function<void(std::string_view key, std::string_view value)> visit) const override;
  HistoryPart history(LogIndex from, LogIndex before) const override;
  void addOlder(const HistoryPart& part) override;
  std::vector<Event> events(LogIndex after, size_t countMax) const override;
  void loadAudit(std::function<void(const AuditEntry&)> visit) const override;

  // About how many bytes all records have, without reading them: never much too few.
  Bytes recordBytes() const;

 private:
  struct Impl;
  class View;
  class Replacement;
  kj::Own<Impl> impl_;
};

}  // namespace muster::coordinator

// What a restore takes its state from: a backup file, or a coordinator's own store. It can be read
// more than once, for the state goes to the coordination service first and to the store after that.
#pragma once

#include "base/result.h"
#include "coordinator/state_store.h"
#include "protocol/backup_format.h"

#include <kj/memory.h>

#include <functional>
#include <string>

namespace muster::coordinator {

class BackupSource {
 public:
  virtual ~BackupSource() noexcept(false) = default;

  virtual const BackupHeader& header() const = 0;
  virtual const BackupEnd& end() const = 0;
  // One reading, in parts like a view's; `visit` gets some records, or some events, or some rows.
  struct Part {
    std::vector<StoredRecord> records;
    std::vector<Event> events;
    std::vector<AuditEntry> audit;
  };
  virtual void read(std::function<void(const Part&)> visit) = 0;
};

// Proves the whole file first. Refuses what protocol/backup_reader.h refuses.
Result<kj::Own<BackupSource>> openBackupFile(const std::string& path);

// What is in the store now; later changes are not seen. Borrows the store. Refuses NOT_FOUND when
// it has no state.
Result<kj::Own<BackupSource>> openStoreAsSource(StateStore& store, const CoordinatorId& id);

}  // namespace muster::coordinator

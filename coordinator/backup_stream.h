// A view of the store as the bytes of a backup file.
#pragma once

#include "coordinator/state_store.h"
#include "protocol/backup_writer.h"

#include <kj/memory.h>

#include <string>

namespace muster::coordinator {

class BackupStream {
 public:
  struct Origin {
    CoordinatorId coordinator;
    std::string version;
    uint32_t schemaLevel = 1;
    WallTime now;
  };
  BackupStream(kj::Own<StoreView> view, const Origin& origin);
  KJ_DISALLOW_COPY(BackupStream);

  // The next bytes, some hundred KiB of them; empty after the last.
  std::string next();
  bool isOver() const { return phase_ == Phase::OVER && writer_.readyBytes() == 0; }
  const BackupHeader& header() const { return header_; }
  // Of what was given out so far; whole once it is over.
  const BackupEnd& end() const { return writer_.end(); }

 private:
  enum class Phase { RECORDS, EVENTS, AUDIT, OVER };

  void read();
  void readRecords();
  void readEvents();
  void readAudit();

  kj::Own<StoreView> view_;
  BackupHeader header_;
  BackupWriter writer_;
  Phase phase_ = Phase::RECORDS;
};

}  // namespace muster::coordinator

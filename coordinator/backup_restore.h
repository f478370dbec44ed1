// A restore: the tree in the coordination service gets a new history that begins with a state that
// was kept. One multi makes it so; until then nothing that anybody uses has changed.
#pragma once

#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "coordinator/backup_source.h"
#include "failover/coordination.h"
#include "failover/paths.h"

#include <kj/async.h>
#include <kj/timer.h>

namespace muster::coordinator {

struct HistoryRestoreParts {
  failover::CoordinationSession& session;
  kj::Timer& timer;
  Random& random;
  ClusterName cluster;
  CoordinatorId self;
  WallTime now;
};

struct RestoredHistory {
  StoreMeta meta;  // what a coordinator's store is after it
  Guid stateHash;  // the same as that of the source
};

// Writes the source's records as a snapshot, proves it, and in one multi names a new history
// (number above that of the tree and of the source, random guid), makes its first batch of the log
// (the anchor, which carries on the numbers) and makes the snapshot current. Then the log of the
// older history is removed. Works on a tree of any history and on none. All coordinators are
// stopped: refuses ALREADY_RUNNING while one stands in line, INVALID_VALUE when the source is of
// another cluster or empty. Throws DISCONNECTED when the session ends: run it again. `source` and
// what is borrowed outlive the promise.
kj::Promise<Result<RestoredHistory>> restoreHistory(HistoryRestoreParts parts,
                                                    BackupSource& source);

// Fills a coordinator's own store with what the source has, events and audit too.
void fillStore(StateStore& store, BackupSource& source, const StoreMeta& meta);

}  // namespace muster::coordinator

// How a coordinator without the log's beginning comes to the state: an empty disk, one that fell
// behind the trimmed log, or one that dropped a state that differed.
#pragma once

#include "base/log.h"
#include "coordinator/state_store.h"
#include "failover/coordination.h"
#include "failover/paths.h"
#include "failover/snapshot_format.h"

#include <kj/async.h>

namespace muster::coordinator {

struct RestoreParts {
  failover::CoordinationSession& session;
  failover::Paths paths;
  StateStore& store;
  ClusterName cluster;
  HistoryId history;
  Logger& logger;
};

// Replaces what is in the store by the current snapshot, and resolves with what it is of; starts
// again when a newer one takes its place meanwhile. The store is unclaimed until it is whole and
// its hash is the one that the snapshot names. Events and audit rows before it are not there
// afterwards: StoreMeta::historyFrom says so. Throws FAILED when there is no snapshot, when it is
// of another cluster or history, and when it is damaged.
kj::Promise<failover::SnapshotManifest> restoreFromCurrent(RestoreParts parts);

}  // namespace muster::coordinator

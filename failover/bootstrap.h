// The tree of a cluster in ZooKeeper: made once, by an explicit bootstrap, and found by everyone
// else.
#pragma once

#include "base/random.h"
#include "base/result.h"
#include "failover/coordination.h"
#include "failover/epoch_view.h"
#include "failover/paths.h"

#include <kj/async.h>

namespace muster::failover {

// Makes the tree {epoch, candidates, log, snapshot} with a fresh history. Refuses ALREADY_RUNNING
// when it exists and NOT_ALLOWED when its place belongs to another identity. A lost answer is
// resolved by the guid of the history. Throws DISCONNECTED when the session ends.
kj::Promise<Result<HistoryId>> bootstrap(CoordinationSession& session, Paths paths,
                                         ClusterName cluster, Random& random);

// Reads `epoch`; nothing when this session sees no tree (a fresh session on a slow server may see
// an older past). Throws DISCONNECTED when the session ends, FAILED when the digest is not this
// cluster's.
kj::Promise<kj::Maybe<EpochView>> readEpoch(CoordinationSession& session, Paths paths);

}  // namespace muster::failover

// reconcile() for who asks often: the leader keeps the index of the cluster from look to look.
#pragma once

#include "coordinator/core/cluster_index.h"
#include "coordinator/core/core.h"

namespace muster::coordinator {

// As reconcile() of core.h. `index` has noted every command that was applied to `state` since the
// first look with it.
Effects reconcile(const State& state, const Observed& observed, Instant now, Random& random,
                  ClusterIndex& index);

}  // namespace muster::coordinator

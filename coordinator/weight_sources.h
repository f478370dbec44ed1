// What a rank is told that asks where to load its slices from.
#pragma once

#include "coordinator/core/state.h"
#include "coordinator/worker_registry.h"

namespace muster::coordinator {

// `rank`: one of `node`. Refuses as offerWeights(). Nodes that are attached and serve weights, and
// the checksums that a rank with the same slices has told; without such a rank none.
Result<WeightSources> weightSourcesOf(const State& state, const WorkerRegistry& registry,
                                      const NodeName& node, const RankRef& rank);

}  // namespace muster::coordinator

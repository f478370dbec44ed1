// Which nodes a rank may load its slices from, when its own node has no files of its model.
#pragma once

#include "base/result.h"
#include "coordinator/core/state.h"

#include <utility>
#include <vector>

namespace muster::coordinator {

// More would not help: one node gives a slice as fast as another.
inline constexpr size_t WEIGHT_PEERS_MAX = 8;

struct WeightOffer {
  const ModelManifest* manifest = nullptr;  // in the state it was asked of
  std::vector<NodeName> nodes;              // best first
  // Ready ranks that hold exactly the slices of the one that asks, and their nodes.
  std::vector<std::pair<NodeName, RankRef>> twins;
};

// `rank`: one that is placed on `node`. `serving`: the nodes that can be asked for files now.
//
// First nodes where ranks with this model are Ready, beginning with another one for each rank, then
// the node that inspected the model, then any: a node says itself when it has no files. Never
// `node`, and at most WEIGHT_PEERS_MAX.
// Refuses STALE_ORDER when `rank` is not placed on `node` any more, MODEL_NOT_FOUND when the model
// it was planned from is not recorded. Cost O(ranks · log nodes).
Result<WeightOffer> offerWeights(const State& state, const NodeName& node, const RankRef& rank,
                                 const std::vector<NodeName>& serving);

}  // namespace muster::coordinator

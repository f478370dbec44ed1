// Finds devices for all ranks of a gang at once.
#pragma once

#include "sharding/constraints.h"

#include <optional>
#include <string>
#include <vector>

namespace muster::sharding {

// How far apart the ranks of one tensor-parallel group may be.
enum class TensorScope : uint8_t { ISLAND, NODE, CLUSTER };

std::string toText(TensorScope scope);  // "in one island", "on one node", "across nodes"

// The scopes a gang may use, nearest first: a wish for a link, or for tp within the node, ends the
// list early, and ranks without partners need no more than the first.
std::vector<TensorScope> allowedScopes(const GangWish& wish);

// One seat per rank, by rank, all different; nothing when the gang does not fit.
//
// Finds an assignment whenever there is one in this scope: stages are first seated in their order,
// so that neighbours come to lie together; if that fails, largest first. Largest first is exact
// because the devices that suit a larger stage suit every smaller one, and each stage takes one
// group's worth of devices wherever it goes. Stages that want unlike GPUs are packed kind after
// kind, and that is exact unless a device that two kinds want goes to the one that had another
// choice. Cost O(stages · devices of the cluster).
std::optional<std::vector<Seat>> packGang(const ClusterView& cluster, const GangWish& wish,
                                          TensorScope scope, Occupancy occupancy);

}  // namespace muster::sharding

// The smallest changes that would turn a refusal into a placement, each tried on the planner itself
// before it is told.
#pragma once

#include "sharding/replica_planner.h"

#include <string>
#include <vector>

namespace muster::sharding {

// For a replica that would fit an empty cluster: which single node to open, or which single
// deployment to remove, would let it be placed now. Best first: what disturbs the fewest devices.
std::vector<std::string> whatWouldFree(const ReplicaPlanner& planner, const ClusterView& cluster,
                                       const std::vector<Cut>& cuts);

// Why a replica could not be placed even on the empty cluster, with what would have to change;
// `fixes` best first.
Refusal whyNever(const ReplicaPlanner& planner, const ClusterView& cluster,
                 const std::vector<Cut>& cuts);

}  // namespace muster::sharding

// New places for the ranks that a replica has lost, while its other ranks stay where they are.
#pragma once

#include "protocol/deployment.h"
#include "protocol/plan.h"
#include "sharding/cluster_view.h"

#include <optional>
#include <set>
#include <vector>

namespace muster::sharding {

struct ReplacementWish {
  const DeploymentSpec& deployment;
  ReplicaNumber replica;
  const ShardPlan& plan;
  const Placement& placement;  // as it was
  std::set<RankNumber> lost;   // of the placement
  // Those of `lost` whose process is known to be gone: the memory they were promised is theirs
  // again.
  std::set<RankNumber> gone;
  std::vector<NodeName> siblings;  // nodes of the deployment's other replicas
};

// The placement with other devices for `lost`, one each, and the rest unchanged; nothing when one
// of them fits nowhere. The hard constraints are those of planReplica.
//
// The best device is the one the rank had, if its process alone is gone: the shard is in that
// node's page cache and nothing else of the gang's shape changes. Then one near the other ranks of
// its tensor group, then one of the same node, then one of another node of the replica.
// Deterministic: ties go to the lower name and index. Cost O(lost · devices of the cluster).
std::optional<Placement> replaceRanks(const ReplacementWish& wish, const ClusterView& cluster);

}  // namespace muster::sharding

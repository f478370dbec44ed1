#include "sharding/placer.h"

#include "sharding/advice.h"
#include "sharding/explain.h"
#include "sharding/stage_kinds.h"
#include "sharding/text.h"

#include <algorithm>
#include <set>

namespace muster::sharding {
namespace {

RefusedReplica refusedOutright(Refusal refusal) { return {std::move(refusal), {}, {}, {}}; }

PlannedReplica planned(const ReplicaPlanner& planner, const ClusterView& cluster,
                       const std::vector<Cut>& cuts, const FoundPlace& found) {
  PlannedReplica result;
  result.plan = cuts[found.cut].plan;
  result.placement = placementOf(found.seats, planner.wishFor(cuts[found.cut]), result.plan);
  result.reasons = reasonsFor(planner, cuts, found);
  result.rejected = alternativesTo(planner, cluster, cuts, found.cut);
  return result;
}

// Devices that a stage could have now.
size_t freeDevices(const ClusterView& cluster, const GangWish& wish) {
  std::set<const DeviceView*> free;
  for (const auto& part : partsOf(wish)) {
    for (const auto& node : cluster.nodes) {
      if (refuseNode(node, cluster, part.wish, Occupancy::NOW)) continue;
      for (const auto& seat : seatsOf(node, part.wish, part.wish.memoryMax(), Occupancy::NOW)) {
        free.insert(seat.device);
      }
    }
  }
  return free.size();
}

// `later`: what would be done once there is room.
RefusedReplica waiting(const ReplicaPlanner& planner, const ClusterView& cluster,
                       const std::vector<Cut>& cuts, const FoundPlace& later) {
  auto wish = planner.wishFor(cuts[later.cut]);
  RefusedReplica refused;
  refused.wants = wantsText(wish, later.scope);
  refused.nodes = judgeNodes(cluster, wish);
  refused.rejected = alternativesTo(planner, cluster, cuts, later.cut);
  refused.refusal = {RefusalCode::WAITING_FOR_CAPACITY,
                     std::to_string(freeDevices(cluster, wish)) + " of " +
                         std::to_string(wish.world()) + " free; wants " + refused.wants + ": " +
                         nodesText(refused.nodes),
                     {},
                     whatWouldFree(planner, cluster, cuts)};
  return refused;
}

RefusedReplica never(const ReplicaPlanner& planner, const ClusterView& cluster,
                     const std::vector<Cut>& cuts) {
  auto wish = planner.wishFor(cuts.front());
  return {whyNever(planner, cluster, cuts), wantsText(wish, allowedScopes(wish).back()),
          judgeNodes(cluster, wish), alternativesTo(planner, cluster, cuts, cuts.size())};
}

}  // namespace

PlacementOutcome planReplica(const DeploymentSpec& deployment, const ModelManifest& manifest,
                             const ClusterView& cluster,
                             const std::vector<NodeName>& siblingNodes) {
  auto spec = readModel(deployment, manifest);
  if (!spec) return refusedOutright(spec.refusal());
  ReplicaPlanner planner(deployment, std::move(*spec), manifest.tensors, siblingNodes);
  auto cuts = planner.cuts(worldMaxOf(cluster));
  if (!cuts) return refusedOutright(cuts.refusal());
  if (cluster.nodes.empty()) {
    return refusedOutright(
        {RefusalCode::NO_WORKER, "no node is registered: start a worker", {}, {}});
  }
  if (auto found = planner.find(cluster, *cuts, Occupancy::NOW)) {
    return planned(planner, cluster, *cuts, *found);
  }
  if (auto later = planner.find(cluster, *cuts, Occupancy::EMPTY)) {
    return waiting(planner, cluster, *cuts, *later);
  }
  return never(planner, cluster, *cuts);
}

}  // namespace muster::sharding

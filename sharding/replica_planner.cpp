#include "sharding/replica_planner.h"

#include <algorithm>

namespace muster::sharding {
namespace {

constexpr uint32_t WORLD_SEARCHED_MAX = 1024;

// Whether any device is large enough for the largest rank: most cuts of a large model end here.
bool mayFit(const Cut& cut, Bytes largestDevice) { return cut.largest() <= largestDevice; }

// A tensor group waits for room in an island rather than being torn apart: a wider scope is for
// gangs that no nearer one could hold even if nothing else ran.
bool mayUse(const ClusterView& cluster, const GangWish& wish, TensorScope scope,
            Occupancy occupancy) {
  for (TensorScope nearer : allowedScopes(wish)) {
    if (nearer == scope) return true;
    if (occupancy == Occupancy::NOW && packGang(cluster, wish, nearer, Occupancy::EMPTY)) {
      return false;
    }
  }
  return false;
}

}  // namespace

ReplicaPlanner::ReplicaPlanner(DeploymentSpec deployment, std::optional<ModelSpec> spec,
                               const std::vector<TensorInfo>& tensors,
                               std::vector<NodeName> siblings)
    : deployment_(std::move(deployment)),
      spec_(std::move(spec)),
      tensors_(tensors),
      siblings_(std::move(siblings)) {}

ReplicaPlanner ReplicaPlanner::with(DeploymentSpec deployment) const {
  return {std::move(deployment), spec_, tensors_, siblings_};
}

Result<std::vector<Cut>> ReplicaPlanner::cuts(uint32_t worldMax) const {
  CutRequest request{deployment_.parallel, deployment_.gpus, 0, worldMax};
  bool isProcess = deployment_.engine.kind == EngineKind::PROCESS;
  if (spec_) {
    auto context = planContext(*spec_, deployment_.model.maxContext);
    if (!context) return context.refusal();
    request.contextTokens = *context;
    auto cuts = enumerateCuts(*spec_, tensors_, request);
    // A program may cut in ways that we do not.
    bool theirs = isProcess && !cuts && cuts.refusal().code == RefusalCode::PARALLEL_IMPOSSIBLE;
    if (!theirs) return cuts;
  }
  auto cut = opaqueCut(request);
  if (!cut) return cut.refusal();
  return std::vector<Cut>{std::move(*cut)};
}

GangWish ReplicaPlanner::wishFor(const Cut& cut) const {
  GangWish wish;
  wish.tenant = deployment_.tenant;
  wish.deployment = deployment_.name;
  wish.gpu = deployment_.gpu;
  wish.rules = deployment_.placement;
  wish.siblings = siblings_;
  wish.sharing = deployment_.engine.kind == EngineKind::PROCESS ? Sharing::WHOLE : Sharing::SHARED;
  wish.tensor = cut.plan.tensor;
  wish.stageMemory = cut.stageMemory;
  return wish;
}

std::optional<FoundPlace> ReplicaPlanner::find(const ClusterView& cluster,
                                               const std::vector<Cut>& cuts,
                                               Occupancy occupancy) const {
  Bytes largestDevice;
  for (const auto& node : cluster.nodes) {
    for (const auto& device : node.devices) largestDevice = std::max(largestDevice, device.memory);
  }
  for (size_t begin = 0; begin < cuts.size();) {
    size_t end = begin;
    while (end < cuts.size() && cuts[end].plan.worldSize() == cuts[begin].plan.worldSize()) ++end;
    for (auto scope : {TensorScope::ISLAND, TensorScope::NODE, TensorScope::CLUSTER}) {
      for (size_t i = begin; i < end; ++i) {
        if (!mayFit(cuts[i], largestDevice)) continue;
        auto wish = wishFor(cuts[i]);
        if (!mayUse(cluster, wish, scope, occupancy)) continue;
        if (auto seats = packGang(cluster, wish, scope, occupancy)) {
          return FoundPlace{i, scope, std::move(*seats)};
        }
      }
    }
    begin = end;
  }
  return std::nullopt;
}

bool ReplicaPlanner::canEverFit(const ClusterView& cluster) const {
  auto all = cuts(worldMaxOf(cluster));
  return all && find(cluster, *all, Occupancy::EMPTY).has_value();
}

std::vector<const DeviceView*> matchingDevices(const ClusterView& cluster, const GangWish& wish) {
  std::vector<const DeviceView*> devices;
  for (const auto& node : cluster.nodes) {
    if (refuseNode(node, cluster, wish, Occupancy::EMPTY)) continue;
    for (const auto& seat : seatsOf(node, wish, {}, Occupancy::EMPTY)) {
      devices.push_back(seat.device);
    }
  }
  return devices;
}

uint32_t worldMaxOf(const ClusterView& cluster) {
  size_t devices = 0;
  for (const auto& node : cluster.nodes) devices += node.devices.size();
  return static_cast<uint32_t>(std::clamp<size_t>(devices, 1, WORLD_SEARCHED_MAX));
}

}  // namespace muster::sharding

#include "sharding/replica_planner.h"

#include "protocol/engine_preset.h"
#include "sharding/processes.h"
#include "sharding/stage_kinds.h"

#include <algorithm>

namespace muster::sharding {
namespace {

constexpr uint32_t WORLD_SEARCHED_MAX = 1024;

// A tensor group waits for room in an island rather than being torn apart: a wider scope is for
// gangs that no nearer one could hold even if nothing else ran.
bool mayUse(GangPacker& packer, size_t cut, const GangWish& wish, TensorScope scope,
            Occupancy occupancy) {
  for (TensorScope nearer : allowedScopes(wish)) {
    if (nearer == scope) return true;
    if (occupancy == Occupancy::NOW && packer.pack(cut, nearer, Occupancy::EMPTY)) return false;
  }
  return false;
}

// Looks at every node.
class Scan final : public GangPacker {
 public:
  Scan(const ClusterView& cluster, const std::vector<GangWish>& wishes)
      : cluster_(cluster), wishes_(wishes) {}
  std::optional<std::vector<Seat>> pack(size_t cut, TensorScope scope,
                                        Occupancy occupancy) override {
    return packGang(cluster_, wishes_[cut], scope, occupancy);
  }

 private:
  const ClusterView& cluster_;
  const std::vector<GangWish>& wishes_;
};

Bytes largestDevice(const ClusterView& cluster) {
  Bytes largest;
  for (const auto& node : cluster.nodes) {
    for (const auto& device : node.devices) largest = std::max(largest, device.memory);
  }
  return largest;
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
  auto format = deployment_.model.dtype == "int8" ? WeightFormat::INT8 : WeightFormat::STORED;
  CutRequest request{parallelOf(deployment_), deployment_.gpus, 0, worldMax, format,
                     deployment_.stages};
  const EnginePreset* preset = findPreset(deployment_.engine.kind);
  if (preset != nullptr && preset->layersOnly) request.parallel.tensor = 1;
  if (spec_) {
    auto context = planContext(*spec_, deployment_.model.maxContext);
    if (!context) return context.refusal();
    request.contextTokens = *context;
    auto cuts = enumerateCuts(*spec_, tensors_, request);
    // A program may cut in ways that we do not.
    bool theirs = isProcess(deployment_.engine.kind) && !cuts &&
                  cuts.refusal().code == RefusalCode::PARALLEL_IMPOSSIBLE;
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
  wish.devices = deviceNeedOf(deployment_.engine.kind);
  wish.rules = deployment_.placement;
  wish.siblings = siblings_;
  wish.sharing = isProcess(deployment_.engine.kind) ? Sharing::WHOLE : Sharing::SHARED;
  wish.share = processShare(deployment_.engine.kind);
  wish.tensor = cut.plan.tensor;
  wish.stageMemory = cut.stageMemory;
  wishForStages(deployment_, wish);
  return wish;
}

std::optional<FoundPlace> ReplicaPlanner::find(const ClusterView& cluster,
                                               const std::vector<Cut>& cuts,
                                               Occupancy occupancy) const {
  std::vector<GangWish> wishes;
  wishes.reserve(cuts.size());
  for (const auto& cut : cuts) wishes.push_back(wishFor(cut));
  Scan scan(cluster, wishes);
  return findPlace(scan, wishes, largestDevice(cluster), occupancy);
}

std::optional<FoundPlace> findPlace(GangPacker& packer, const std::vector<GangWish>& wishes,
                                    Bytes largest, Occupancy occupancy) {
  for (size_t begin = 0; begin < wishes.size();) {
    size_t end = begin;
    while (end < wishes.size() && wishes[end].world() == wishes[begin].world()) ++end;
    for (auto scope : {TensorScope::ISLAND, TensorScope::NODE, TensorScope::CLUSTER}) {
      for (size_t i = begin; i < end; ++i) {
        if (wishes[i].memoryMax() > largest) continue;  // most cuts of a large model end here
        if (!mayUse(packer, i, wishes[i], scope, occupancy)) continue;
        if (auto seats = packer.pack(i, scope, occupancy)) {
          return FoundPlace{i, scope, std::move(*seats)};
        }
      }
    }
    begin = end;
  }
  return std::nullopt;
}

Placement placementOf(const std::vector<Seat>& seats, const GangWish& wish, ShardPlan& plan) {
  Placement placement;
  for (uint32_t rank = 0; rank < seats.size(); ++rank) {
    const Seat& seat = seats[rank];
    // Only now it is known how much a whole device is.
    if (wish.sharing == Sharing::WHOLE) plan.rankMemory[rank] = seat.device->memory;
    placement.ranks.push_back(
        {RankNumber{rank}, seat.node->name, {seat.device->index}, plan.rankMemory[rank]});
  }
  return joinProcesses(placement, wish.share);
}

Result<std::optional<ModelSpec>> readModel(const DeploymentSpec& deployment,
                                           const ModelManifest& manifest) {
  auto spec = readModelSpec(manifest.configJson, manifest.tensors);
  if (spec) return std::optional<ModelSpec>(std::move(*spec));
  if (isProcess(deployment.engine.kind)) return std::optional<ModelSpec>();
  return spec.refusal();
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

uint32_t worldMaxOf(uint64_t devices) {
  return static_cast<uint32_t>(std::clamp<uint64_t>(devices, 1, WORLD_SEARCHED_MAX));
}

uint32_t worldMaxOf(const ClusterView& cluster) {
  uint64_t devices = 0;
  for (const auto& node : cluster.nodes) devices += node.devices.size();
  return worldMaxOf(devices);
}

}  // namespace muster::sharding

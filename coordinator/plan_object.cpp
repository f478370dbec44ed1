#include "coordinator/plan_object.h"

#include "coordinator/core/phase_rules.h"
#include "coordinator/objects/why.h"
#include "coordinator/plan_commands.h"
#include "protocol/deployment_text.h"

#include <algorithm>
#include <map>

namespace muster::coordinator {
namespace {

const DeviceInfo* findDevice(const State& state, const NodeName& name, DeviceIndex index) {
  const NodeState* node = state.findNode(name);
  if (node == nullptr) return nullptr;
  auto device = std::ranges::find(node->info.devices, index, &DeviceInfo::index);
  return device == node->info.devices.end() ? nullptr : &*device;
}

// The device of each shard, whichever process drives it.
std::vector<std::pair<NodeName, DeviceIndex>> shardDevices(const Placement& placement) {
  std::vector<std::pair<NodeName, DeviceIndex>> devices;
  for (const auto& rank : placement.ranks) {
    for (DeviceIndex device : rank.devices) devices.emplace_back(rank.node, device);
  }
  return devices;
}

// The slowest link inside a tensor-parallel group: what its collectives run over.
std::string linkOf(const State& state, const ShardPlan& plan, const Placement& placement) {
  bool acrossIslands = false;
  bool isCpu = false;
  auto devices = shardDevices(placement);
  for (size_t shard = 0; shard < devices.size(); ++shard) {
    const auto& [node, device] = devices[shard];
    const auto& [firstNode, firstDevice] = devices[shard / plan.tensor * plan.tensor];
    if (node != firstNode) return "network";
    const auto* a = findDevice(state, node, device);
    const auto* b = findDevice(state, firstNode, firstDevice);
    if (a == nullptr || b == nullptr) continue;
    acrossIslands |= a->island != b->island;
    isCpu |= a->type == "cpu";
  }
  if (isCpu) return "memory";
  return acrossIslands ? "PCIe" : "NVLink";
}

Json nodesOf(const Placement& placement) {
  std::map<NodeName, std::set<uint32_t>> devices;
  for (const auto& rank : placement.ranks) {
    for (DeviceIndex device : rank.devices) devices[rank.node].insert(device.value);
  }
  Json nodes = Json::array();
  for (const auto& [node, indexes] : devices) {
    nodes.push_back({{"node", node.value}, {"devices", indexes}});
  }
  return nodes;
}

Json placementRow(const State& state, ReplicaNumber number, const PlacedGeneration& generation) {
  Bytes perGpu;
  Bytes smallest;
  Bytes weights;
  for (const auto& rank : generation.placement.ranks) {
    perGpu = std::max(perGpu, rank.memory);
    for (DeviceIndex index : rank.devices) {
      const auto* device = findDevice(state, rank.node, index);
      if (device == nullptr) continue;
      smallest = smallest.count == 0 ? device->memory : std::min(smallest, device->memory);
    }
  }
  for (Bytes rank : generation.plan.rankWeights) weights += rank;
  return {{"replica", number.value},
          {"rank_count", generation.placement.ranks.size()},
          {"nodes", nodesOf(generation.placement)},
          {"per_gpu_bytes", perGpu.count},
          {"per_gpu_total_bytes", smallest.count},
          {"link", linkOf(state, generation.plan, generation.placement)},
          {"weights_bytes", weights.count}};
}

Json changesOf(const DeploymentDiff& diff) {
  Json rows = Json::array();
  for (const FieldChange& change : diff.changes) {
    rows.push_back({{"path", change.path},
                    {"before", change.before},
                    {"after", change.after},
                    {"restarts_ranks", change.effect == ChangeEffect::RESTARTS_RANKS}});
  }
  return rows;
}

std::string actionOf(const DryChange& change) {
  if (!change.before) return "add";
  return change.revisionBefore == change.revisionAfter ? "none" : "change";
}

std::string counted(uint32_t count) {
  return std::to_string(count) + (count == 1 ? " replica" : " replicas");
}

std::string disruptionOf(const DryChange& change, const DeploymentSpec& after) {
  if (!change.before) return "none: a new deployment";
  if (change.revisionBefore == change.revisionAfter) return "none: nothing changes";
  uint32_t before = change.before->replicas;
  if (restartsRanks(diffDeployments(*change.before, after))) {
    if (before == 0) return "none: nothing of it runs";
    std::string text = "recreates " + counted(before);
    if (before == 1) return text + ": it ends before the new one starts, so there is a gap";
    return text + ", one at a time while the others serve";
  }
  if (after.replicas >= before) return "none: changed in place";
  return "ends " + counted(before - after.replicas) + "; the others go on";
}

Json firstPlan(const DeploymentState& deployment) {
  for (const auto& [number, replica] : deployment.replicas) {
    if (!replica.current) continue;
    const ShardPlan& plan = replica.current->plan;
    return {{"tp", plan.tensor},
            {"pp", plan.pipeline},
            {"ep", plan.expert},
            {"stage_first_layer", plan.stageFirstLayer}};
  }
  return nullptr;
}

Json deploymentRow(const DryRun& run, const DryChange& change, Instant now, ShowCommands show) {
  const DeploymentState& after = *run.after.findDeployment(change.uid);
  DeploymentDiff diff;
  if (change.before) diff = diffDeployments(*change.before, after.spec);
  Json placement = Json::array();
  bool waits = false;
  for (const auto& [number, replica] : after.replicas) {
    if (replica.current) placement.push_back(placementRow(run.after, number, *replica.current));
    waits |= !replica.current && number.value < after.spec.replicas;
  }
  Json row{{"tenant", after.spec.tenant.value},
           {"name", after.spec.name.value},
           {"revision_before", change.revisionBefore.value},
           {"revision_after", change.revisionAfter.value},
           {"action", actionOf(change)},
           {"changes", changesOf(diff)},
           {"unchanged", diff.unchanged},
           {"placement", std::move(placement)},
           {"plan", firstPlan(after)},
           {"reasons", change.reasons},
           {"waiting", waits ? whyObject({run.after, nullptr, now}, after) : Json()},
           {"disruption", disruptionOf(change, after.spec)}};
  if (show == ShowCommands::YES) row["commands"] = commandsOf(run.after, after);
  return row;
}

}  // namespace

Json planObject(const KeptPlan& plan, const DryRun& run, Instant now, ShowCommands show) {
  Json rows = Json::array();
  uint32_t add = 0;
  uint32_t changed = 0;
  for (const DryChange& change : run.changes) {
    std::string action = actionOf(change);
    add += action == "add" ? 1 : 0;
    changed += action == "change" ? 1 : 0;
    rows.push_back(deploymentRow(run, change, now, show));
  }
  return {{"version", 1},
          {"kind", "plan"},
          {"id", plan.id},
          {"cluster_revision", plan.clusterRevision.value},
          {"deployments", std::move(rows)},
          {"summary", {{"add", add}, {"change", changed}, {"remove", 0}}}};
}

}  // namespace muster::coordinator

#include "coordinator/objects/deployment.h"

#include "coordinator/core/phase_rules.h"
#include "coordinator/objects/standing.h"
#include "protocol/deployment_text.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace muster::coordinator {
namespace {

uint64_t devicesOf(const Placement& placement) {
  uint64_t count = 0;
  for (const auto& rank : placement.ranks) count += rank.devices.size();
  return count;
}

// Devices that one replica asks for; 0 while that is the planner's to say.
uint64_t devicesWanted(const DeploymentSpec& spec) {
  if (spec.gpus) return *spec.gpus;
  const ParallelRequest parallel = parallelOf(spec);
  if (!parallel.tensor || !parallel.pipeline) return 0;
  return uint64_t{*parallel.tensor} * *parallel.pipeline;
}

std::set<std::string> typesWanted(const DeploymentSpec& spec) {
  std::set<std::string> types;
  for (uint32_t stage = 0; stage < std::max<size_t>(spec.stages.size(), 1); ++stage) {
    auto gpu = gpuOfStage(spec, stage);
    types.insert(gpu.types.begin(), gpu.types.end());
  }
  return types;
}

void addTypes(const State& state, const Placement& placement, std::set<std::string>& types) {
  for (const auto& rank : placement.ranks) {
    const NodeState* node = state.findNode(rank.node);
    if (node == nullptr) continue;
    for (const auto& device : node->info.devices) {
      if (std::ranges::count(rank.devices, device.index) > 0) types.insert(device.type);
    }
  }
}

// What it holds, and for replicas without a place what they ask for where that is fixed.
Json gpusOf(const ObjectView& view, const DeploymentState& deployment) {
  uint64_t count = 0;
  std::set<std::string> types;
  for (const auto& [number, replica] : deployment.replicas) {
    if (replica.current) {
      count += devicesOf(replica.current->placement);
      addTypes(view.state, replica.current->placement, types);
    } else if (number.value < deployment.spec.replicas) {
      count += devicesWanted(deployment.spec);
    }
  }
  if (types.empty()) types = typesWanted(deployment.spec);
  return {{"count", count}, {"types", types}};
}

// Since when a replica meets a condition; nothing while it does not.
using MetSince = std::optional<WallTime> (*)(const ReplicaState&);

// A condition holds since the last replica met it, and does not since the first one stopped.
Json conditionOf(const DeploymentState& deployment, const std::string& type, MetSince metSince) {
  WallTime since = deployment.createdWall;
  const ReplicaState* first = nullptr;
  for (const auto& [number, replica] : deployment.replicas) {
    if (auto met = metSince(replica)) {
      since = std::max(since, *met);
    } else if (first == nullptr || replica.sinceWall < first->sinceWall) {
      first = &replica;
    }
  }
  bool holds = first == nullptr;
  return {{"type", type},
          {"status", holds},
          {"reason", holds ? std::string_view() : toText(first->reason)},
          {"message", holds ? "" : first->message},
          {"since", toRfc3339(holds ? since : first->sinceWall)}};
}

std::optional<WallTime> placedSince(const ReplicaState& replica) {
  if (!replica.current) return std::nullopt;
  return replica.current->placedWall;
}

std::optional<WallTime> readySince(const ReplicaState& replica) {
  if (replica.phase != ReplicaPhase::READY) return std::nullopt;
  return replica.sinceWall;
}

Json conditionsOf(const DeploymentState& deployment) {
  return Json::array({conditionOf(deployment, "Placed", placedSince),
                      conditionOf(deployment, "Ready", readySince)});
}

// The lowest replica that is not as it should be speaks for the deployment.
struct Spokesman {
  std::string next;
  std::vector<std::string> fix;
  Json progress;
};

Spokesman spokesmanOf(const ObjectView& view, const DeploymentState& deployment) {
  Spokesman result;
  double sum = 0;
  bool known = false;
  for (const auto& [number, replica] : deployment.replicas) {
    Standing standing = standingOf(view, deployment, number, replica);
    sum += standing.progress.value_or(0);
    known |= standing.progress.has_value();
    if (replica.phase == ReplicaPhase::READY || !result.next.empty()) continue;
    result.next = standing.next;
    result.fix = standing.fix;
  }
  if (known) {
    auto count = static_cast<double>(deployment.replicas.size());
    result.progress = std::round(sum / count * 1000) / 1000;
  }
  if (deployment.deleting) result.next = "gone once nothing of it runs any more";
  return result;
}

// The revision that all replicas run; what is behind holds it back.
Revision observedRevision(const DeploymentState& deployment) {
  Revision observed = deployment.revision;
  for (const auto& [number, replica] : deployment.replicas) {
    if (isOutdated(deployment, replica)) observed = std::min(observed, replica.current->revision);
  }
  return observed;
}

Json statusOf(const ObjectView& view, const DeploymentState& deployment) {
  Spokesman spokesman = spokesmanOf(view, deployment);
  return {
      {"phase", toText(deployment.phase)},
      {"reason", toText(deployment.reason)},
      {"message", deployment.message},
      {"since", toRfc3339(deployment.sinceWall)},
      {"next", spokesman.next},
      {"progress", spokesman.progress},
      {"fix", spokesman.fix},
      {"observed_revision", observedRevision(deployment).value},
      {"replicas", {{"desired", deployment.spec.replicas}, {"ready", readyReplicas(deployment)}}},
      {"gpus", gpusOf(view, deployment)},
      {"conditions", conditionsOf(deployment)}};
}

}  // namespace

Json deploymentObject(const ObjectView& view, const DeploymentState& deployment) {
  return {{"kind", "deployment"},
          {"tenant", deployment.spec.tenant.value},
          {"name", deployment.spec.name.value},
          {"uid", std::to_string(deployment.uid.value)},
          {"revision", deployment.revision.value},
          {"created_at", toRfc3339(deployment.createdWall)},
          {"spec", Json::parse(toJson(deployment.spec))},
          {"status", statusOf(view, deployment)}};
}

}  // namespace muster::coordinator

#include "coordinator/select.h"

#include "coordinator/core/hints.h"
#include "coordinator/objects/deployment.h"
#include "coordinator/objects/model.h"
#include "coordinator/objects/node.h"
#include "coordinator/objects/replica.h"
#include "protocol/names.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

const std::vector<std::string> KINDS = {"cluster",  "nodes", "gpus",   "deployments",
                                        "replicas", "ranks", "events", "models"};

Refusal notFound(const std::string& what, const std::string& word,
                 const std::vector<std::string>& known) {
  return {RefusalCode::NOT_FOUND, "there is no " + what + " \"" + word + "\"" + hint(word, known)};
}

std::vector<std::string> nodeNames(const State& state) {
  std::vector<std::string> names;
  for (const auto& [name, node] : state.nodes) names.push_back(name.value);
  return names;
}

Result<const NodeState*> findNode(const State& state, const NodeName& name) {
  const NodeState* node = state.findNode(name);
  if (node == nullptr) return notFound("node", name.value, nodeNames(state));
  return node;
}

Result<Json> selectNodes(const ObjectView& view, const std::string& target) {
  Json items = Json::array();
  if (!target.empty()) {
    auto node = findNode(view.state, {target});
    if (!node) return node.refusal();
    items.push_back(nodeObject(view, **node));
    return listOf(std::move(items));
  }
  for (const auto& [name, node] : view.state.nodes) items.push_back(nodeObject(view, node));
  return listOf(std::move(items));
}

void addGpus(const ObjectView& view, const NodeState& node, Json& items) {
  for (const auto& device : node.info.devices) items.push_back(gpuObject(view, node, device));
}

Result<Json> selectGpu(const ObjectView& view, const GpuReference& gpu) {
  auto node = findNode(view.state, gpu.node);
  if (!node) return node.refusal();
  const auto& devices = (*node)->info.devices;
  auto device = std::ranges::find(devices, gpu.device, &DeviceInfo::index);
  if (device == devices.end()) {
    return Refusal{RefusalCode::NOT_FOUND,
                   "node " + gpu.node.value + " has " + std::to_string(devices.size()) +
                       " devices, none of them has index " + std::to_string(gpu.device.value)};
  }
  return listOf(Json::array({gpuObject(view, **node, *device)}));
}

Result<Json> selectGpus(const ObjectView& view, const std::string& target) {
  if (target.find(':') != std::string::npos) {
    auto gpu = parseGpuReference(target);
    if (!gpu) return gpu.refusal();
    return selectGpu(view, *gpu);
  }
  Json items = Json::array();
  if (!target.empty()) {
    auto node = findNode(view.state, {target});
    if (!node) return node.refusal();
    addGpus(view, **node, items);
    return listOf(std::move(items));
  }
  for (const auto& [name, node] : view.state.nodes) addGpus(view, node, items);
  return listOf(std::move(items));
}

Result<Json> selectModels(const ObjectView& view, const std::string& target) {
  Json items = Json::array();
  std::vector<std::string> known;
  for (const auto& [source, manifest] : view.state.models) {
    known.push_back(source);
    if (target.empty() || source == target) items.push_back(modelObject(manifest));
  }
  if (items.empty() && !target.empty()) return notFound("model", target, known);
  return listOf(std::move(items));
}

// What below a deployment is meant.
struct Wanted {
  std::optional<TenantName> tenant;      // all deployments of it
  const DeploymentState* one = nullptr;  // or this one
  std::optional<ReplicaNumber> replica;
  std::optional<RankNumber> rank;

  bool takes(const DeploymentState& deployment) const {
    if (one != nullptr) return &deployment == one;
    return !tenant || deployment.spec.tenant == *tenant;
  }
  bool takes(ReplicaNumber number) const { return !replica || *replica == number; }
  bool takes(RankNumber number) const { return !rank || *rank == number; }
};

Result<Wanted> readTarget(const State& state, const std::string& target) {
  if (target.empty()) return Wanted{};
  if (target.back() == '/') {
    TenantName tenant{target.substr(0, target.size() - 1)};
    auto named = checkName(tenant.value, NameKind::TENANT);
    if (!named) return named.refusal();
    return Wanted{tenant, nullptr, {}, {}};
  }
  auto reference = parseReference(target);
  if (!reference) return reference.refusal();
  auto deployment =
      findTarget(state, reference->tenant.value_or(TenantName{"default"}), reference->deployment);
  if (!deployment) return deployment.refusal();
  return Wanted{{}, *deployment, reference->replica, reference->rank};
}

Result<Json> nothingOf(const std::string& target) {
  return Refusal{RefusalCode::NOT_FOUND, "there is no \"" + target + "\" at the moment"};
}

Result<Json> selectDeployments(const ObjectView& view, const Wanted& wanted) {
  if (wanted.one != nullptr) return listOf(Json::array({deploymentObject(view, *wanted.one)}));
  Json items = Json::array();
  for (const auto& [uid, deployment] : view.state.deployments) {
    if (wanted.takes(deployment)) items.push_back(deploymentObject(view, deployment));
  }
  return listOf(std::move(items));
}

Result<Json> selectReplicas(const ObjectView& view, const Wanted& wanted) {
  Json items = Json::array();
  for (const auto& [uid, deployment] : view.state.deployments) {
    if (!wanted.takes(deployment)) continue;
    for (const auto& [number, replica] : deployment.replicas) {
      if (!wanted.takes(number)) continue;
      items.push_back(replicaObject(view, deployment, number, replica));
    }
  }
  return listOf(std::move(items));
}

Result<Json> selectRanks(const ObjectView& view, const Wanted& wanted) {
  Json items = Json::array();
  for (const auto& [uid, deployment] : view.state.deployments) {
    if (!wanted.takes(deployment)) continue;
    for (const auto& [number, replica] : deployment.replicas) {
      if (!wanted.takes(number) || !replica.current) continue;
      for (uint32_t rank = 0; rank < replica.current->ranks.size(); ++rank) {
        if (!wanted.takes(RankNumber{rank})) continue;
        items.push_back(rankObject(view, deployment, number, *replica.current, {rank}));
      }
    }
  }
  return listOf(std::move(items));
}

Result<Json> selectBelow(const ObjectView& view, const std::string& kind,
                         const std::string& target) {
  auto wanted = readTarget(view.state, target);
  if (!wanted) return wanted.refusal();
  auto list = kind == "deployments" ? selectDeployments(view, *wanted)
              : kind == "replicas"  ? selectReplicas(view, *wanted)
                                    : selectRanks(view, *wanted);
  bool isExact = wanted->replica.has_value();
  if (isExact && list && (*list)["items"].empty()) return nothingOf(target);
  return list;
}

}  // namespace

std::optional<std::string> kindNamed(const std::string& word) {
  for (const auto& kind : KINDS) {
    if (word == kind || word + "s" == kind) return kind;
  }
  return std::nullopt;
}

Refusal unknownKind(const std::string& word) {
  return {RefusalCode::INVALID_VALUE, "there is no kind \"" + word + "\"" + hint(word, KINDS)};
}

Result<const DeploymentState*> findTarget(const State& state, const TenantName& tenant,
                                          const DeploymentName& name) {
  if (const auto* deployment = state.findDeployment(tenant, name)) return deployment;
  std::vector<std::string> known;
  for (const auto& [key, uid] : state.deploymentByName) {
    if (key.first == tenant) known.push_back(key.second.value);
  }
  std::string what = tenant.value == "default" ? "deployment" : "deployment of " + tenant.value;
  return notFound(what, name.value, known);
}

Result<Json> selectObjects(const ObjectView& view, const std::string& kind,
                           const std::string& target) {
  if (kind == "nodes") return selectNodes(view, target);
  if (kind == "gpus") return selectGpus(view, target);
  if (kind == "models") return selectModels(view, target);
  bool isBelow = kind == "deployments" || kind == "replicas" || kind == "ranks";
  if (isBelow) return selectBelow(view, kind, target);
  return unknownKind(kind);
}

}  // namespace muster::coordinator

#include "coordinator/core/cluster_view.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

// What a process on a GPU that the driver shows takes there before it holds anything: 0.5 GiB for
// CUDA's context and cuBLAS's workspace, and 0.38 GiB for NCCL in groups of four and more
// (AIConfigurator's figure for an H100).
constexpr Bytes GPU_OVERHEAD = 1_GiB;

Bytes overheadOf(const DeviceInfo& device) {
  return device.busId.empty() ? Bytes{} : std::min(GPU_OVERHEAD, device.memory);
}

sharding::DeviceUse useOf(const State& state, const RankRef& rank, Bytes memory) {
  sharding::DeviceUse use{
      .tenant = {}, .deployment = {}, .replica = rank.replica, .rank = rank.rank, .memory = memory};
  if (const DeploymentState* deployment = state.findDeployment(rank.deployment)) {
    use.tenant = deployment->spec.tenant;
    use.deployment = deployment->spec.name;
    return use;
  }
  auto retired = state.retired.find(generationOf(rank));
  if (retired != state.retired.end()) {
    use.tenant = retired->second.tenant;
    use.deployment = retired->second.name;
  }
  return use;
}

void close(sharding::NodeView& view, std::string word, std::string detail) {
  view.closed = std::move(word);
  view.closedDetail = std::move(detail);
}

void closeWhenNeeded(sharding::NodeView& view, const NodeState& node, bool avoided) {
  if (node.reachability != NodePhase::READY) {
    std::string text(toText(node.reachability));
    return close(view, "health", node.why.empty() ? text : text + ": " + node.why);
  }
  if (node.cordon) {
    std::string word = node.drain == DrainStage::NONE ? "cordoned" : "draining";
    std::string detail = word + " by " + node.cordon->by;
    if (!node.cordon->reason.empty()) detail += ": \"" + node.cordon->reason + "\"";
    return close(view, word, detail);
  }
  if (avoided) close(view, "health", NOT_ATTACHED);
}

sharding::NodeView viewOf(const State& state, const NodeName& name, const NodeState& node,
                          bool avoided) {
  sharding::NodeView out;
  out.name = name;
  out.rack = node.info.rack;
  out.labels = node.info.labels;
  closeWhenNeeded(out, node, avoided);
  auto reserved = state.reservations.find(name);
  for (const auto& device : node.info.devices) {
    sharding::DeviceView& to = out.devices.emplace_back();
    to.index = device.index;
    to.type = device.type;
    to.island = device.island;
    to.overhead = overheadOf(device);
    to.memory = device.memory - to.overhead;
    to.unhealthy = device.unhealthy;
    if (reserved == state.reservations.end()) continue;
    auto ranks = reserved->second.find(device.index);
    if (ranks == reserved->second.end()) continue;
    for (const auto& [rank, promised] : ranks->second) {
      to.uses.push_back(useOf(state, rank, promised.memory));
    }
  }
  return out;
}

}  // namespace

sharding::ClusterView clusterView(const State& state, const std::set<NodeName>& avoided) {
  sharding::ClusterView view;
  for (const auto& [name, node] : state.nodes) {
    view.nodes.push_back(viewOf(state, name, node, avoided.contains(name)));
  }
  return view;
}

sharding::NodeView nodeView(const State& state, const NodeName& name) {
  return viewOf(state, name, state.nodes.at(name), false);
}

std::vector<NodeName> siblingNodes(const DeploymentState& deployment, ReplicaNumber replica) {
  std::set<NodeName> nodes;
  for (const auto& [number, sibling] : deployment.replicas) {
    if (number == replica || !sibling.current) continue;
    for (const auto& rank : sibling.current->placement.ranks) nodes.insert(rank.node);
  }
  return {nodes.begin(), nodes.end()};
}

const ModelManifest& manifestOf(const State& state, const DeploymentSpec& spec) {
  static const ModelManifest NONE;
  auto model = state.models.find(spec.model.source);
  return model == state.models.end() ? NONE : model->second;
}

}  // namespace muster::coordinator

#include "coordinator/objects/node.h"

#include "coordinator/objects/drain.h"

namespace muster::coordinator {
namespace {

// Of all devices of a node; null: nothing is promised there.
const std::map<DeviceIndex, DeviceReservations>* promisedOn(const State& state,
                                                            const NodeName& node) {
  auto devices = state.reservations.find(node);
  return devices == state.reservations.end() ? nullptr : &devices->second;
}

const DeviceReservations* promisedOf(const State& state, const NodeName& node, DeviceIndex device) {
  const auto* devices = promisedOn(state, node);
  if (devices == nullptr) return nullptr;
  auto ranks = devices->find(device);
  return ranks == devices->end() ? nullptr : &ranks->second;
}

Json cordonOf(const NodeState& node) {
  if (!node.cordon) return nullptr;
  return {{"by", node.cordon->by},
          {"reason", node.cordon->reason},
          {"since", toRfc3339(node.cordon->sinceWall)}};
}

Json drainOf(const State& state, const NodeState& node) {
  if (node.drain == DrainStage::NONE) return nullptr;
  Json drain = cordonOf(node);
  drain["force"] = node.drainForced;
  drain.update(drainProgress(state, node.info.name));
  return drain;
}

Reason reasonOf(NodePhase phase) {
  if (phase == NodePhase::LOST || phase == NodePhase::UNREACHABLE) return Reason::NODE_LOST;
  bool drains = phase == NodePhase::DRAINING || phase == NodePhase::DRAINED;
  return drains ? Reason::NODE_DRAINING : Reason::NONE;
}

bool isAway(const NodeState& node) { return node.reachability != NodePhase::READY; }

std::string messageOf(const NodeState& node) {
  if (isAway(node)) return node.why;
  return node.cordon ? node.cordon->reason : "";
}

std::string nextOf(const NodeState& node) {
  switch (node.phase()) {
    case NodePhase::UNREACHABLE:
      return "Ready if its worker returns in time; else its replicas are placed elsewhere";
    case NodePhase::LOST:
      return "Ready when its worker returns; its devices stay taken until then";
    case NodePhase::CORDONED:
    case NodePhase::DRAINED:
      return "takes work again after: muster uncordon " + node.info.name.value;
    case NodePhase::DRAINING:
      return "Drained when nothing runs here any more";
    case NodePhase::READY:
      return "";
  }
  return "";
}

Json attachedOf(const ObjectView& view, const NodeState& node) {
  if (view.observed == nullptr) return nullptr;
  auto seen = view.observed->nodes.find(node.info.name);
  return seen != view.observed->nodes.end() && seen->second.attached;
}

Json statusOf(const ObjectView& view, const NodeState& node) {
  NodePhase phase = node.phase();
  WallTime since = !isAway(node) && node.cordon ? node.cordon->sinceWall : node.sinceWall;
  return {{"phase", toText(phase)},     {"reason", toText(reasonOf(phase))},
          {"message", messageOf(node)}, {"since", toRfc3339(since)},
          {"next", nextOf(node)},       {"attached", attachedOf(view, node)},
          {"cordon", cordonOf(node)},   {"drain", drainOf(view.state, node)}};
}

Json holderObject(const State& state, const RankRef& rank, const Reservation& promised) {
  std::string tenant;
  std::string name;
  auto retired = state.retired.find(generationOf(rank));
  if (const DeploymentState* deployment = state.findDeployment(rank.deployment)) {
    tenant = deployment->spec.tenant.value;
    name = deployment->spec.name.value;
  } else if (retired != state.retired.end()) {
    tenant = retired->second.tenant.value;
    name = retired->second.name.value;
  }
  return {{"tenant", tenant},
          {"deployment", name},
          {"replica", rank.replica.value},
          {"rank", rank.rank.value},
          {"generation", rank.generation.value},
          {"bytes", promised.memory.count},
          {"stopping", retired != state.retired.end()}};
}

bool takesWork(const NodeState& node, const DeviceInfo& device) {
  return node.takesWork() && device.unhealthy.empty();
}

std::string phaseOf(const NodeState& node, const DeviceInfo& device, bool isPromised) {
  if (!device.unhealthy.empty()) return "unhealthy";
  return isPromised ? "busy" : node.takesWork() ? "free" : "unavailable";
}

Json textOrNull(const std::string& text) { return text.empty() ? Json() : Json(text); }

}  // namespace

GpuCount countGpus(const State& state, const NodeState& node) {
  GpuCount count;
  const auto* promised = promisedOn(state, node.info.name);
  for (const auto& device : node.info.devices) {
    ++count.total;
    if (promised != nullptr && promised->contains(device.index)) {
      ++count.busy;
    } else if (takesWork(node, device)) {
      ++count.free;
    }
  }
  return count;
}

GpuCount countGpus(const State& state) {
  GpuCount sum;
  for (const auto& [name, node] : state.nodes) {
    GpuCount one = countGpus(state, node);
    sum.total += one.total;
    sum.busy += one.busy;
    sum.free += one.free;
  }
  return sum;
}

Json nodeObject(const ObjectView& view, const NodeState& node) {
  GpuCount gpus = countGpus(view.state, node);
  return {{"kind", "node"},
          {"name", node.info.name.value},
          {"status", statusOf(view, node)},
          {"address", node.info.address},
          {"rack", node.info.rack},
          {"labels", Json(node.info.labels)},
          {"gpus", {{"total", gpus.total}, {"busy", gpus.busy}, {"free", gpus.free}}},
          {"version", node.info.version},
          {"agent_incarnation", toText(node.agent)}};
}

Json gpuObject(const ObjectView& view, const NodeState& node, const DeviceInfo& device) {
  const NodeName& name = node.info.name;
  Bytes reserved;
  Json holders = Json::array();
  if (const auto* promised = promisedOf(view.state, name, device.index)) {
    for (const auto& [rank, reservation] : *promised) {
      reserved += reservation.memory;
      holders.push_back(holderObject(view.state, rank, reservation));
    }
  }
  std::string phase = phaseOf(node, device, !holders.empty());
  return {{"kind", "gpu"},
          {"name", name.value + ":" + std::to_string(device.index.value)},
          {"node", name.value},
          {"index", device.index.value},
          {"type", device.type},
          {"uuid", device.uuid},
          {"memory_bytes", device.memory.count},
          {"reserved_bytes", reserved.count},
          {"island", device.island},
          {"backend", isGpu(device) ? "cuda" : "cpu"},
          {"product", textOrNull(device.product)},
          {"bus_id", textOrNull(device.busId)},
          {"numa_node", device.numaNode ? Json(*device.numaNode) : Json()},
          {"driver", textOrNull(node.info.driver)},
          {"phase", phase},
          {"message", device.unhealthy},
          {"holders", std::move(holders)}};
}

}  // namespace muster::coordinator

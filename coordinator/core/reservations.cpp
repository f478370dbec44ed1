#include "coordinator/core/reservations.h"

#include <algorithm>
#include <set>

namespace muster::coordinator {
namespace {

const DeviceInfo* findDevice(const NodeInfo& node, DeviceIndex index) {
  auto device = std::ranges::find(node.devices, index, &DeviceInfo::index);
  return device == node.devices.end() ? nullptr : &*device;
}

std::optional<Refusal> checkDevice(const State& state, const NodeState& node, DeviceIndex index,
                                   Bytes wanted, Bytes given) {
  const DeviceInfo* device = findDevice(node.info, index);
  if (!device) {
    return Refusal{RefusalCode::NO_MATCHING_GPU,
                   deviceName(node.info.name, index) + " does not exist"};
  }
  Bytes taken = reservedMemory(state, node.info.name, index) - given;
  Bytes free = taken < device->memory ? device->memory - taken : Bytes{};
  if (wanted <= free) return std::nullopt;
  return Refusal{RefusalCode::WAITING_FOR_CAPACITY, deviceName(node.info.name, index) + " has " +
                                                        toShortText(free) + " free, wanted " +
                                                        toShortText(wanted)};
}

std::optional<Refusal> checkNode(const State& state, const NodeName& name) {
  const NodeState* node = state.findNode(name);
  if (!node) return Refusal{RefusalCode::NOT_FOUND, "node " + name.value + " is not registered"};
  if (node->reachability != NodePhase::READY) {
    return Refusal{RefusalCode::NODE_LOST,
                   "node " + name.value + " is " + std::string(toText(node->reachability))};
  }
  if (node->cordon) {
    return Refusal{RefusalCode::NODE_DRAINING,
                   "node " + name.value + " is cordoned by " + node->cordon->by};
  }
  return std::nullopt;
}

}  // namespace

std::string deviceName(const NodeName& node, DeviceIndex device) {
  return node.value + ":" + std::to_string(device.value);
}

std::string gpuTrouble(const NodeState& node, const RankPlacement& rank) {
  for (DeviceIndex index : rank.devices) {
    const DeviceInfo* device = findDevice(node.info, index);
    std::string name = deviceName(rank.node, index);
    if (!device || rank.memory > device->memory) return name + " is gone or smaller than it was";
    if (!device->unhealthy.empty()) return name + ": " + device->unhealthy;
  }
  return "";
}

void reserve(State& state, const GenerationRef& ref, const RankPlacement& rank,
             LogIndex placedIndex) {
  RankRef owner{ref.deployment, ref.replica, ref.generation, rank.rank};
  for (DeviceIndex device : rank.devices) {
    state.reservations[rank.node][device][owner] = {rank.memory, placedIndex};
  }
}

void release(State& state, const GenerationRef& ref, const RankPlacement& rank) {
  auto node = state.reservations.find(rank.node);
  if (node == state.reservations.end()) return;
  RankRef owner{ref.deployment, ref.replica, ref.generation, rank.rank};
  for (DeviceIndex index : rank.devices) {
    auto device = node->second.find(index);
    if (device == node->second.end()) continue;
    device->second.erase(owner);
    if (device->second.empty()) node->second.erase(device);
  }
  if (node->second.empty()) state.reservations.erase(node);
}

Bytes reservedMemory(const State& state, const NodeName& node, DeviceIndex device) {
  auto ofNode = state.reservations.find(node);
  if (ofNode == state.reservations.end()) return {};
  auto ofDevice = ofNode->second.find(device);
  if (ofDevice == ofNode->second.end()) return {};
  Bytes sum;
  for (const auto& [rank, reservation] : ofDevice->second) sum += reservation.memory;
  return sum;
}

std::optional<Refusal> checkPlacement(const State& state, const Placement& placement) {
  if (auto refusal = checkNodes(state, placement)) return refusal;
  return checkDevices(state, placement, {});
}

std::optional<Refusal> checkNodes(const State& state, const Placement& placement) {
  for (const auto& rank : placement.ranks) {
    if (auto refusal = checkNode(state, rank.node)) return refusal;
  }
  return std::nullopt;
}

std::optional<Refusal> checkDevices(const State& state, const Placement& placement,
                                    const DeviceMemory& given) {
  DeviceMemory wanted;
  for (const auto& rank : placement.ranks) {
    if (rank.devices.empty()) {
      return Refusal{RefusalCode::INVALID_VALUE,
                     "rank " + std::to_string(rank.rank.value) + " has no device"};
    }
    std::set<DeviceIndex> own;
    for (DeviceIndex device : rank.devices) {
      if (!own.insert(device).second) {
        return Refusal{RefusalCode::INVALID_VALUE,
                       deviceName(rank.node, device) + " is named twice by one rank"};
      }
      Bytes& sum = wanted[{rank.node, device}];
      if (sum.count + rank.memory.count < sum.count) {
        return Refusal{RefusalCode::INVALID_VALUE, "memory of a placement overflows"};
      }
      sum += rank.memory;
    }
  }
  for (const auto& [device, memory] : wanted) {
    const NodeState* node = state.findNode(device.first);
    if (!node) {
      return Refusal{RefusalCode::NOT_FOUND, "node " + device.first.value + " is not registered"};
    }
    auto back = given.find(device);
    Bytes givenBack = back == given.end() ? Bytes{} : back->second;
    if (auto refusal = checkDevice(state, *node, device.second, memory, givenBack)) return refusal;
  }
  return std::nullopt;
}

}  // namespace muster::coordinator

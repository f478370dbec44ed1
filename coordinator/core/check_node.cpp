#include "base/planted_bug.h"
#include "coordinator/core/check.h"
#include "coordinator/core/hints.h"
#include "coordinator/core/limits.h"
#include "protocol/names.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

std::optional<Refusal> checkDevices(const NodeInfo& node) {
  if (node.devices.size() > DEVICES_MAX) {
    return Refusal{RefusalCode::TOO_LARGE, "node " + node.name.value + " describes " +
                                               std::to_string(node.devices.size()) +
                                               " devices, at most " + std::to_string(DEVICES_MAX)};
  }
  auto notAscending = [](const DeviceInfo& a, const DeviceInfo& b) { return !(a.index < b.index); };
  auto wrong = std::ranges::adjacent_find(node.devices, notAscending);
  if (wrong == node.devices.end()) return std::nullopt;
  return Refusal{RefusalCode::INVALID_VALUE, "devices of node " + node.name.value +
                                                 " are not ascending after index " +
                                                 std::to_string(wrong->index.value)};
}

}  // namespace

std::optional<Refusal> checkNodeNamed(const State& state, const NodeName& node) {
  if (state.findNode(node)) return std::nullopt;
  std::vector<std::string> known;
  for (const auto& [name, unused] : state.nodes) known.push_back(name.value);
  return Refusal{RefusalCode::NOT_FOUND,
                 "there is no node \"" + node.value + "\"" + hint(node.value, known)};
}

std::optional<Refusal> checkNodeCommand(const State&, const NodeRegistered& body) {
  if (auto named = checkName(body.node.name.value, NameKind::NODE); !named) return named.refusal();
  if (body.agent.isNull()) {
    return Refusal{RefusalCode::INVALID_VALUE,
                   "the agent of node " + body.node.name.value + " names no incarnation"};
  }
  return checkDevices(body.node);
}

std::optional<Refusal> checkNodeCommand(const State& state, const NodePhaseChanged& body) {
  if (auto refusal = checkNodeNamed(state, body.node)) return refusal;
  const NodeState& node = state.nodes.at(body.node);
  bool isReachability = body.phase == NodePhase::READY || body.phase == NodePhase::UNREACHABLE ||
                        body.phase == NodePhase::LOST;
  if (!isReachability || body.phase == node.reachability) {
    return Refusal{RefusalCode::INVALID_VALUE, "node " + body.node.value + " cannot go from " +
                                                   std::string(toText(node.reachability)) + " to " +
                                                   std::string(toText(body.phase))};
  }
  if (body.phase == NodePhase::LOST && !node.cordon &&
      lostWithoutWord(state) >= lostNodesMax(state.nodes.size())) {
    return Refusal{RefusalCode::DISRUPTION_BLOCKED,
                   "node " + body.node.value + ": " + std::to_string(lostWithoutWord(state)) +
                       " nodes stand declared lost already, the most without an operator's word",
                   {},
                   {"muster drain " + body.node.value}};
  }
  return std::nullopt;
}

std::optional<Refusal> checkNodeCommand(const State& state, const NodeDrained& body) {
  if (auto refusal = checkNodeNamed(state, body.node)) return refusal;
  const NodeState& node = state.nodes.at(body.node);
  if (node.drain != DrainStage::DRAINING) {
    return Refusal{RefusalCode::INVALID_VALUE, "node " + body.node.value + " is not draining"};
  }
  bool empty = !state.reservations.contains(body.node) || MUSTER_PLANTED_BUG(DRAINED_TOO_EARLY);
  bool gone = node.reachability == NodePhase::LOST && !hasCurrentRanks(state, body.node);
  if (empty || gone) return std::nullopt;
  return Refusal{RefusalCode::DISRUPTION_BLOCKED,
                 "node " + body.node.value + " still has ranks on its devices"};
}

size_t lostWithoutWord(const State& state) {
  if (MUSTER_PLANTED_BUG(LOSS_WITHOUT_BOUND)) return 0;
  return static_cast<size_t>(std::ranges::count_if(state.nodes, [](const auto& entry) {
    return entry.second.reachability == NodePhase::LOST && !entry.second.cordon;
  }));
}

bool hasCurrentRanks(const State& state, const NodeName& node) {
  auto devices = state.reservations.find(node);
  if (devices == state.reservations.end()) return false;
  for (const auto& [device, ranks] : devices->second) {
    for (const auto& [rank, reservation] : ranks) {
      if (state.findCurrent(generationOf(rank))) return true;
    }
  }
  return false;
}

}  // namespace muster::coordinator

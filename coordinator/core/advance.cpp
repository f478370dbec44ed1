#include "coordinator/core/advance.h"

#include "coordinator/core/phase_rules.h"
#include "coordinator/core/reservations.h"

#include <algorithm>
#include <string>

namespace muster::coordinator {
namespace {

Refusal invalid(const PlacedGeneration& before, const ReplicaPlaced& body, const std::string& why) {
  return {RefusalCode::INVALID_VALUE,
          "deployment " + std::to_string(body.deployment.value) + " replica " +
              std::to_string(body.replica.value) + " has generation " +
              std::to_string(before.generation.value) + " already, and " + why};
}

std::optional<Refusal> checkSame(const State& state, const PlacedGeneration& before,
                                 const ReplicaPlaced& body) {
  if (state.schemaLevel < SCHEMA_LEVEL_ADVANCES) {
    return invalid(
        before, body,
        "is not followed in place below schema level " + std::to_string(SCHEMA_LEVEL_ADVANCES));
  }
  if (before.spec.engine.kind != EngineKind::NATIVE) {
    return invalid(before, body, "its engine cannot go on in another one");
  }
  if (body.plan != before.plan || body.revision != before.revision) {
    return invalid(before, body, "another plan or revision cannot go on with its weights");
  }
  return std::nullopt;
}

// Who comes takes one device and what memory its rank had; somebody stays.
std::optional<Refusal> checkSeats(const PlacedGeneration& before, const ReplicaPlaced& body) {
  const auto& seats = body.placement.ranks;
  for (uint32_t i = 0; i < seats.size(); ++i) {
    bool whole =
        seats[i].devices.size() == 1 && seats[i].memory == before.placement.ranks[i].memory;
    if (!whole) return invalid(before, body, "rank " + std::to_string(i) + " wants another share");
  }
  bool somebodyStays = replacedRanks(before, body.placement).size() < seats.size();
  return somebodyStays ? std::nullopt : std::optional(invalid(before, body, "nobody would stay"));
}

// The devices must have room once what passes on has been given back. New places need a node that
// takes work; who stays needs one that is not lost.
std::optional<Refusal> checkRoom(const State& state, const PlacedGeneration& before,
                                 const ReplicaPlaced& body) {
  DeviceMemory given;
  for (RankNumber rank : keptReservations(before, body.placement)) {
    const RankPlacement& seat = before.placement.ranks[rank.value];
    for (DeviceIndex device : seat.devices) given[{seat.node, device}] += seat.memory;
  }
  auto replaced = replacedRanks(before, body.placement);
  Placement fresh;
  for (const auto& rank : body.placement.ranks) {
    const NodeState* node = state.findNode(rank.node);
    if (replaced.contains(rank.rank)) {
      fresh.ranks.push_back(rank);
    } else if (!node || node->reachability == NodePhase::LOST) {
      return invalid(before, body, "node " + rank.node.value + " of a rank that stays is lost");
    }
  }
  if (auto refusal = checkNodes(state, fresh)) return refusal;
  return checkDevices(state, body.placement, given);
}

bool hasSamePlace(const RankPlacement& a, const RankPlacement& b) {
  return a.node == b.node && a.devices == b.devices;
}

}  // namespace

bool hasEnded(const RankState& rank) { return rank.phase > ReplicaPhase::READY; }

bool isGone(const RankState& rank) { return rank.phase == ReplicaPhase::FAILED && rank.pid == 0; }

std::set<RankNumber> replacedRanks(const PlacedGeneration& before, const Placement& after) {
  std::set<RankNumber> replaced;
  for (uint32_t i = 0; i < before.ranks.size(); ++i) {
    bool moves = !hasSamePlace(before.placement.ranks[i], after.ranks[i]);
    if (moves || hasEnded(before.ranks[i])) replaced.insert({i});
  }
  return replaced;
}

std::set<RankNumber> keptReservations(const PlacedGeneration& before, const Placement& after) {
  std::set<RankNumber> kept;
  for (uint32_t i = 0; i < before.ranks.size(); ++i) {
    const RankState& rank = before.ranks[i];
    bool free = !hasEnded(rank) || isGone(rank);
    if (free && hasSamePlace(before.placement.ranks[i], after.ranks[i])) kept.insert({i});
  }
  return kept;
}

AdvanceCause causeOf(const State& state, const PlacedGeneration& before,
                     const std::set<RankNumber>& replaced) {
  auto view = phaseOfRanks(before);
  if (view.phase == ReplicaPhase::FAILED) return {view.reason, view.message};
  if (replaced.empty()) return {};
  const RankPlacement& seat = before.placement.ranks[replaced.begin()->value];
  const NodeState* node = state.findNode(seat.node);
  if (node && node->reachability != NodePhase::READY) {
    return {Reason::NODE_LOST, "node " + seat.node.value + ": " + node->why};
  }
  std::string trouble = node ? gpuTrouble(*node, seat) : "";
  if (trouble.empty()) {
    trouble = deviceName(seat.node, seat.devices.front()) + " is gone or smaller than it was";
  }
  return {Reason::GPU_UNHEALTHY, std::move(trouble)};
}

std::optional<Refusal> checkAdvance(const State& state, const ReplicaPlaced& body) {
  const PlacedGeneration& before =
      *state.deployments.at(body.deployment).replicas.at(body.replica).current;
  if (auto refusal = checkSame(state, before, body)) return refusal;
  if (auto refusal = checkSeats(before, body)) return refusal;
  return checkRoom(state, before, body);
}

}  // namespace muster::coordinator

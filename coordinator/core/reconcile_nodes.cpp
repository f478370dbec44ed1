// Which nodes are there. Death is a guess: it costs a restart of replicas, so few nodes are
// declared lost at a time.
#include "base/planted_bug.h"
#include "coordinator/core/check.h"
#include "coordinator/core/limits.h"
#include "coordinator/core/reconcile_topics.h"
#include "coordinator/core/time_math.h"

#include <algorithm>
#include <vector>

namespace muster::coordinator {
namespace {

// A node that is not there: when its replicas may go elsewhere, when it may be declared lost, and
// why.
struct Absence {
  NodeName node;
  Instant moveAt;
  Instant lostAt;
  bool unreachable = false;  // seen to be gone, as against not seen yet
  Duration leaseRemaining;
  std::string why;
};

Absence brokenConnection(const Look& look, const NodeName& name, const ObservedNode& seen) {
  Duration grace = MUSTER_PLANTED_BUG(NO_GRACE) ? Duration{} : BROKEN_GRACE;
  Instant moveAt = later(*seen.brokenSince, grace);
  return {.node = name,
          .moveAt = moveAt,
          .lostAt = std::max(moveAt, seen.leaseEnd),
          .unreachable = true,
          .leaseRemaining = std::max(elapsed(look.now, seen.leaseEnd), Duration{}),
          .why = "its agent's connection broke"};
}

// Not attached to this leader yet. An earlier leader's lease may still hold, unless it said how
// much was left.
Absence notAttached(const Look& look, const NodeName& name, const NodeState& node) {
  Instant since = look.observed.leadingSince;
  if (node.reachability == NodePhase::LOST) return {name, since, since, true, {}, node.why};
  if (node.reachability != NodePhase::UNREACHABLE) {
    Instant end = later(since, MUSTER_PLANTED_BUG(NO_TAKEOVER_GRANT) ? Duration{} : TAKEOVER_LEASE);
    return {name, end, end, false, {}, "its agent did not attach to the new leader"};
  }
  Duration remaining = std::clamp(node.suspectRemaining, BROKEN_GRACE, TAKEOVER_LEASE);
  return {name,
          later(since, BROKEN_GRACE),
          later(since, remaining),
          true,
          std::max(elapsed(look.now, later(since, remaining)), Duration{}),
          node.why};
}

std::optional<Absence> absenceOf(const Look& look, const NodeName& name, const NodeState& node) {
  auto entry = look.observed.nodes.find(name);
  if (entry == look.observed.nodes.end()) return notAttached(look, name, node);
  const ObservedNode& seen = entry->second;
  if (seen.attached && look.now < seen.leaseEnd) return std::nullopt;
  if (seen.attached) {
    return Absence{name, seen.leaseEnd, seen.leaseEnd, true, {}, "no heartbeat within its lease"};
  }
  if (seen.brokenSince) return brokenConnection(look, name, seen);
  return notAttached(look, name, node);
}

// What the state's schema level can hold of a description.
NodeInfo writable(const State& state, NodeInfo info) {
  if (state.schemaLevel >= SCHEMA_LEVEL_GPUS) return info;
  info.driver.clear();
  for (DeviceInfo& device : info.devices) {
    device = {device.index, device.type, device.uuid, device.memory, device.island};
  }
  return info;
}

bool registerNew(Look& look, const NodeName& name, const ObservedNode& seen) {
  if (!seen.attached || !seen.hello) return false;
  const NodeState* node = look.state.findNode(name);
  bool isSameAgent = node && node->agent == seen.agent;
  if (isSameAgent && node->info == *seen.hello) return false;  // nearly always: nothing is copied
  NodeInfo info = writable(look.state, *seen.hello);
  if (isSameAgent && node->info == info) return false;
  NodeRegistered registration{std::move(info), seen.agent};
  // A description that cannot be taken is never proposed, or placement would wait for it for ever.
  if (checkNodeCommand(look.state, registration)) return false;
  look.propose(std::move(registration));
  return true;
}

void changePhase(Look& look, const Absence& absence, NodePhase phase, std::string why) {
  const NodeState& node = look.state.nodes.at(absence.node);
  if (node.reachability == phase) return;
  Duration remaining = phase == NodePhase::UNREACHABLE ? absence.leaseRemaining : Duration{};
  look.propose(NodePhaseChanged{absence.node, phase, std::move(why), remaining});
}

// The nodes that may be given up, longest gone first, as many as may stand lost at a time. An
// operator's cordon or drain is a word that it may go.
std::set<NodeName> chooseGivenUp(const Look& look, std::vector<Absence> absences) {
  std::erase_if(absences, [&](const Absence& absence) { return look.now < absence.moveAt; });
  std::ranges::sort(absences, {}, [](const Absence& a) { return std::pair(a.moveAt, a.node); });
  size_t lost = lostWithoutWord(look.state);
  size_t budget = lostNodesMax(look.state.nodes.size());
  std::set<NodeName> chosen;
  for (const auto& absence : absences) {
    const NodeState& node = look.state.nodes.at(absence.node);
    bool counted = node.reachability == NodePhase::LOST || node.cordon.has_value();
    if (!counted && lost >= budget) continue;
    if (!counted) ++lost;
    chosen.insert(absence.node);
  }
  return chosen;
}

void judge(Look& look, const Absence& absence, bool mayGiveUp) {
  const NodeState& node = look.state.nodes.at(absence.node);
  look.wakeAt(absence.moveAt);
  look.wakeAt(absence.lostAt);
  if (mayGiveUp) {
    look.givenUp.emplace(absence.node,
                         node.reachability == NodePhase::LOST ? node.why : absence.why);
  }
  if (node.reachability == NodePhase::LOST) return;
  bool isOver = look.now >= absence.lostAt;
  if (isOver && mayGiveUp) return changePhase(look, absence, NodePhase::LOST, absence.why);
  if (isOver || absence.unreachable) {
    std::string why = absence.why;
    if (isOver) why += "; not declared lost, for too many others are";
    changePhase(look, absence, NodePhase::UNREACHABLE, std::move(why));
  }
}

}  // namespace

void reconcileNodes(Look& look) {
  std::set<NodeName> registered;
  for (const auto& [name, seen] : look.observed.nodes) {
    if (registerNew(look, name, seen)) registered.insert(name);
  }
  std::vector<Absence> absences;
  for (const auto& [name, node] : look.state.nodes) {
    if (registered.contains(name)) continue;
    if (auto absence = absenceOf(look, name, node)) {
      absences.push_back(std::move(*absence));
      continue;
    }
    look.wakeAt(look.observed.nodes.at(name).leaseEnd);
    if (node.reachability != NodePhase::READY) {
      look.propose(NodePhaseChanged{name, NodePhase::READY, "", {}});
    }
  }
  std::set<NodeName> givenUp = chooseGivenUp(look, absences);
  for (const auto& absence : absences) judge(look, absence, givenUp.contains(absence.node));
}

}  // namespace muster::coordinator

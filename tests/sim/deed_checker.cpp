#include "tests/sim/deed_checker.h"

#include "coordinator/core/limits.h"

#include <algorithm>

namespace muster::sim {
namespace {

using coordinator::DeploymentState;
using coordinator::NodeState;
using coordinator::ReplicaState;
using coordinator::State;

// Clocks differ by up to a tenth, and we look at the leader now and then only.
constexpr Duration GRACE_AT_LEAST = coordinator::BROKEN_GRACE * 4 / 5;

// What is logged together with a decision was not known to it.
constexpr Duration HEARING_GAP = 500_ms;  // of our looks at a leader
constexpr Duration NEWS = 100_ms;
// Longer than it takes from a guess to the first command of who made it.
constexpr Duration HEARD_ALL_ALONG = 3_s;

std::string nameOf(const DeploymentState& deployment, ReplicaNumber number) {
  return deployment.spec.name.value + "/" + std::to_string(number.value);
}

}  // namespace

void DeedChecker::heard(const NodeName& node, Instant clusterNow) {
  Hearing& hearing = heard_[node];
  if (clusterNow - hearing.last > HEARING_GAP) hearing.since = clusterNow;
  hearing.last = clusterNow;
}

void DeedChecker::committed(const State& before, const Command& command) {
  if (const auto* retired = std::get_if<ReplicaRetired>(&command.body)) {
    check(before, *retired, command.decidedAt);
  } else if (const auto* changed = std::get_if<NodePhaseChanged>(&command.body)) {
    check(before, *changed);
  } else if (const auto* drained = std::get_if<NodeDrained>(&command.body)) {
    check(before, *drained);
  } else if (const auto* started = std::get_if<LeaderStarted>(&command.body)) {
    check(before, *started);
  }
}

void DeedChecker::check(const State& before, const ReplicaRetired& body, Instant decidedAt) {
  const auto* generation = before.findCurrent({body.deployment, body.replica, body.generation});
  const DeploymentState* deployment = before.findDeployment(body.deployment);
  if (generation == nullptr || deployment == nullptr) return;  // rejected, which others report
  bool wanted = !deployment->deleting && body.replica.value < deployment->spec.replicas;
  if (!wanted) return;
  if (body.reason == Reason::NODE_LOST) {
    checkAway(*generation, nameOf(*deployment, body.replica), decidedAt);
  }
  bool ownAct = body.reason == Reason::NONE || body.reason == Reason::NODE_DRAINING;
  if (ownAct) checkOthersServe(before, body, decidedAt);
}

// A replica is given up when one of its nodes had been away for the grace at the time when that was
// decided; it may be back when the decision commits.
void DeedChecker::checkAway(const coordinator::PlacedGeneration& generation,
                            const std::string& replica, Instant decidedAt) {
  std::string there;
  for (const auto& rank : generation.placement.ranks) {
    auto seen = heard_.find(rank.node);
    if (seen == heard_.end()) return;
    bool wasThere =
        seen->second.since <= decidedAt && decidedAt - seen->second.last < GRACE_AT_LEAST;
    if (!wasThere) return;
    there += " " + rank.node.value;
  }
  cluster_.world().violated("a node that is away for a moment keeps its replicas",
                            replica + " was given up, though a moment ago the leader had" + there);
}

// A roll or a drain, unless forced, ends a replica that serves only while all others serve; as far
// as that was known when it was decided.
void DeedChecker::checkOthersServe(const State& before, const ReplicaRetired& body,
                                   Instant decidedAt) {
  const DeploymentState& deployment = *before.findDeployment(body.deployment);
  const ReplicaState& replica = deployment.replicas.at(body.replica);
  auto isNews = [&](const ReplicaState& state) { return state.since + NEWS > decidedAt; };
  if (replica.phase != ReplicaPhase::READY || isNews(replica)) return;
  for (const auto& rank : replica.current->placement.ranks) {
    const NodeState* node = before.findNode(rank.node);
    if (node != nullptr && node->drainForced) return;
  }
  for (const auto& [number, other] : deployment.replicas) {
    if (number == body.replica || number.value >= deployment.spec.replicas) continue;
    if (other.phase == ReplicaPhase::READY || isNews(other)) continue;
    return cluster_.world().violated("a roll or a drain takes one replica at a time",
                                     nameOf(deployment, body.replica) + " was ended (" +
                                         body.message + ") while " + nameOf(deployment, number) +
                                         " was " + std::string(toText(other.phase)));
  }
}

void DeedChecker::check(const State& before, const NodePhaseChanged& body) {
  const NodeState* node = before.findNode(body.node);
  if (body.phase != NodePhase::LOST || node == nullptr || node->cordon) return;
  auto lost = std::ranges::count_if(before.nodes, [](const auto& entry) {
    return entry.second.reachability == NodePhase::LOST && !entry.second.cordon;
  });
  if (static_cast<size_t>(lost) < std::max<size_t>(1, before.nodes.size() / 5)) return;
  cluster_.world().violated("few nodes are declared lost at a time",
                            body.node.value + " was declared lost beside " + std::to_string(lost) +
                                " of " + std::to_string(before.nodes.size()));
}

// Who says that the leader before was silent needs a majority that did not hear it.
void DeedChecker::check(const State& before, const LeaderStarted& body) {
  constexpr std::string_view SILENT = " is silent";
  if (!body.reason.ends_with(SILENT)) return;
  auto hostOf = [this](const CoordinatorId& id) -> CoordinatorMachine* {
    for (auto& machine : cluster_.coordinators()) {
      if (machine->name == id.value) return machine.get();
    }
    return nullptr;
  };
  CoordinatorId silent{body.reason.substr(0, body.reason.size() - SILENT.size())};
  CoordinatorMachine* old = hostOf(silent);
  // One that has crashed meanwhile is gone for some and silent for others.
  bool wasServing = old != nullptr && before.leader == silent && old->host.isUp();
  if (!wasServing) return;
  auto stalled = lastStalled_.find(old->name);
  SteadyTime now = cluster_.world().now();
  if (stalled != lastStalled_.end() && now - stalled->second < HEARD_ALL_ALONG) return;
  size_t hearing = 1;  // itself
  for (auto& machine : cluster_.coordinators()) {
    bool hears = machine.get() != old &&
                 cluster_.network().hearsSteadily(machine->host, old->host, HEARD_ALL_ALONG);
    hearing += hears ? 1 : 0;
  }
  if (hearing * 2 <= cluster_.coordinators().size()) return;
  cluster_.world().violated("a leader whom most can hear is not silent",
                            body.leader.value + " leads because " + body.reason + ", and " +
                                std::to_string(hearing) + " heard it all the time");
}

void DeedChecker::check(const State& before, const NodeDrained& body) {
  const NodeState* node = before.findNode(body.node);
  if (node == nullptr || node->reachability == NodePhase::LOST) return;  // nobody can know
  for (auto& worker : cluster_.workers()) {
    if (worker->site.node().name != body.node) continue;
    for (const auto& [ref, rank] : worker->site.ranks()) {
      if (rank.report.pid == 0) continue;
      return cluster_.world().violated("nothing runs on a drained node",
                                       body.node.value + " was told to be drained while process " +
                                           std::to_string(rank.report.pid) + " ran");
    }
  }
}

}  // namespace muster::sim

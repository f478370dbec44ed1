#include "tests/coordinator/core/core_cluster.h"

#include "coordinator/core/invariants.h"
#include "coordinator/core/limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::coordinator {

CoreCluster::CoreCluster(uint64_t seed) : state(emptyState({1, {7, 7}})), random_(seed) {
  startLeader({1});
}

Result<Outcome> CoreCluster::request(CommandBody body, const std::string& principal, RequestId id) {
  auto decision = decide(state, {principal, id, std::move(body)}, now, {1'900'000'000'000});
  if (!decision) return decision.refusal();
  if (decision->earlier) return *decision->earlier;
  Applied applied = applyCommand(*decision->command);
  EXPECT_FALSE(applied.rejected) << "accepted by decide, rejected by apply: "
                                 << applied.rejected->text;
  if (id.guid.isNull()) return Outcome{state.applied, applied.rejected, ""};
  return *state.findOutcome(id);
}

Applied CoreCluster::applyRaw(CommandBody body, RequestId id) {
  return applyCommand({.schemaVersion = 1,
                       .principal = "test/raw",
                       .request = id,
                       .decidedAt = now,
                       .decidedWall = {},
                       .body = std::move(body)});
}

Applied CoreCluster::applyCommand(const Command& command) {
  Applied applied = apply(state, state.applied.next(), command);
  index_.note(command.body);
  log.push_back(command);
  events.insert(events.end(), applied.events.begin(), applied.events.end());
  for (const auto& write : applied.writes) {
    if (write.value) {
      store[write.key] = *write.value;
    } else {
      store.erase(write.key);
    }
  }
  EXPECT_THAT(violations(state), ::testing::IsEmpty());
  return applied;
}

void CoreCluster::addNode(const testing::NodeInfoBuilder& node) {
  NodeInfo info = node.get();
  FakeAgent& agent = agents[info.name];
  agent.info = info;
  agent.incarnation = {1, agents.size()};
  connect(info.name);
  settle();
}

void CoreCluster::connect(const NodeName& node) {
  FakeAgent& agent = agents.at(node);
  agent.connected = true;
  ObservedNode& seen = observed.nodes[node];
  seen.attached = true;
  seen.agent = agent.incarnation;
  seen.hello = agent.info;
  seen.brokenSince.reset();
  seen.leaseEnd = now + LEASE;
  seen.sent = {};
  report(node, agent);
}

void CoreCluster::disconnect(const NodeName& node) {
  agents.at(node).connected = false;
  observed.nodes.at(node).attached = false;
  observed.nodes.at(node).brokenSince = now;
}

void CoreCluster::startLeader(Epoch epoch) {
  observed = {.token = {state.history, epoch}, .leadingSince = now, .nodes = {}};
  applyRaw(LeaderStarted{{"co1"}, epoch, "test", {9, epoch.value}});
}

void CoreCluster::report(const NodeName& name, FakeAgent& agent) {
  ObservedNode& seen = observed.nodes[name];
  seen.ranks = agent.ranks;
  seen.reported = agent.stored;
  seen.obeyed = agent.stored;
}

void CoreCluster::heartbeat() {
  for (auto& [name, agent] : agents) {
    if (!agent.connected) continue;
    observed.nodes[name].leaseEnd = now + LEASE;
    report(name, agent);
  }
}

// A native rank of an earlier generation goes on in its process.
bool CoreCluster::goesOn(FakeAgent& agent, const Assignment& assignment) {
  if (assignment.engine.kind != EngineKind::NATIVE) return false;
  for (const auto& [ref, report] : agent.ranks) {
    bool before = ref.deployment == assignment.ref.deployment &&
                  ref.replica == assignment.ref.replica && ref.rank == assignment.ref.rank &&
                  ref.generation < assignment.ref.generation && report.pid != 0;
    if (!before) continue;
    RankReport next = report;
    next.ref = assignment.ref;
    next.phase = ReplicaPhase::JOINING;
    agent.ranks.erase(ref);
    agent.ranks.emplace(assignment.ref, next);
    return true;
  }
  return false;
}

void CoreCluster::obey(const NodeOrder& order) {
  FakeAgent& agent = agents.at(order.node);
  if (!agent.connected) return;
  EXPECT_EQ(order.order.agent, agent.incarnation);
  EXPECT_GT(order.order.stamp, agent.stored) << "an order that is no news";
  agent.stored = order.order.stamp;
  agent.wanted.clear();
  for (const auto& assignment : order.order.assignments) {
    agent.wanted[assignment.ref] = assignment;
    if (agent.ranks.contains(assignment.ref) || goesOn(agent, assignment)) continue;
    RankReport& rank = agent.ranks[assignment.ref];
    rank.ref = assignment.ref;
    rank.phase = ReplicaPhase::LOADING;
    rank.pid = agent.nextPid++;
    rank.processStartTime = 5;
    if (assignment.ref.rank.value == 0) rank.rendezvous = "10.0.0.1:4000";
  }
  if (!agent.stopsRanks) return report(order.node, agent);
  std::erase_if(agent.ranks, [&](const auto& rank) { return !agent.wanted.contains(rank.first); });
  report(order.node, agent);
}

bool CoreCluster::step() {
  Effects effects = reconcile(state, observed, now, random_, index_);
  wakeAt = effects.wakeAt;
  for (const auto& body : effects.proposals) {
    auto outcome = request(body, "coordinator/co1");
    EXPECT_TRUE(outcome.ok()) << outcome.refusal().text;
  }
  for (const auto& order : effects.orders) {
    observed.nodes.at(order.node).sent = order.order.stamp;
    obey(order);
  }
  return !effects.proposals.empty() || !effects.orders.empty();
}

void CoreCluster::settle() {
  for (int i = 0; i < 200; ++i) {
    if (!step()) return;
  }
  ADD_FAILURE() << "reconcile never comes to rest";
}

void CoreCluster::pass(Duration time) {
  Instant end = now + time;
  settle();
  while (now < end) {
    Instant next = std::min(end, now + 1_s);
    if (wakeAt && *wakeAt > now) next = std::min(next, *wakeAt);
    now = next;
    heartbeat();
    settle();
  }
}

void CoreCluster::setRanks(ReplicaPhase phase) {
  for (auto& [name, agent] : agents) {
    for (auto& [ref, rank] : agent.ranks) rank.phase = phase;
  }
  heartbeat();
}

void CoreCluster::failRank(const RankRef& ref, Reason reason, const std::string& error) {
  for (auto& [name, agent] : agents) {
    auto rank = agent.ranks.find(ref);
    if (rank == agent.ranks.end()) continue;
    rank->second.phase = ReplicaPhase::FAILED;
    rank->second.pid = 0;  // its process is gone
    rank->second.reason = reason;
    rank->second.message = "ended";
    rank->second.firstError = error;
  }
  heartbeat();
}

void CoreCluster::bringUp() {
  settle();
  setRanks(ReplicaPhase::READY);
  settle();
}

const DeploymentState& CoreCluster::deployment(const std::string& name) const {
  const DeploymentState* found = state.findDeployment({"default"}, {name});
  KJ_REQUIRE(found, "no such deployment", name.c_str());
  return *found;
}

const ReplicaState& CoreCluster::replica(const std::string& name, uint32_t number) const {
  return deployment(name).replicas.at({number});
}

std::string CoreCluster::places(const std::string& name, uint32_t number) const {
  const ReplicaState& found = replica(name, number);
  if (!found.current) return "-";
  std::string text;
  for (const auto& rank : found.current->placement.ranks) {
    if (!text.empty()) text += ' ';
    text += rank.node.value + ":" + std::to_string(rank.devices.at(0).value);
  }
  return text;
}

RankRef CoreCluster::rankOf(const std::string& name, uint32_t replicaNumber, uint32_t rank) const {
  return {deployment(name).uid,
          {replicaNumber},
          replica(name, replicaNumber).current.value().generation,
          {rank}};
}

std::vector<std::string> CoreCluster::eventsOf(const std::string& type) const {
  std::vector<std::string> texts;
  for (const auto& event : events) {
    if (event.type == type) texts.push_back(event.object + ": " + event.message);
  }
  return texts;
}

NodeName nodeName(const std::string& name) { return {name}; }

DeploymentApplied applyOf(const testing::SpecBuilder& spec, uint64_t expectedRevision) {
  return {.spec = spec.get(), .uid = {}, .expectedRevision = {expectedRevision}};
}

DeploymentScaled scaleOf(const std::string& name, uint32_t replicas, uint64_t expected) {
  return {{"default"}, {name}, replicas, {expected}};
}

DeploymentDeleted deleteOf(const std::string& name, uint64_t expected) {
  return {{"default"}, {name}, {expected}};
}

}  // namespace muster::coordinator

#include "tests/sim/checkers.h"

#include "coordinator/core/drain.h"
#include "failover/death_rules.h"
#include "tests/sim/process.h"

#include <algorithm>

namespace muster::sim {
namespace {

using coordinator::DeploymentState;
using coordinator::ReplicaState;

constexpr const char* ACKNOWLEDGED = "what was acknowledged is in the log";
constexpr Duration OUTCOME_KEPT_AT_LEAST = 8_min;  // clocks differ by up to a tenth
constexpr const char* EQUAL = "equal states at equal index";

std::string number(uint64_t value) { return std::to_string(value); }

// A leader whose newest batch is gone sees first that its next one has no predecessor.
bool tellsOfLoss(coordinator::AlarmKind kind) {
  return kind == coordinator::AlarmKind::LOG_LOST ||
         kind == coordinator::AlarmKind::LOG_CONTRADICTS ||
         kind == coordinator::AlarmKind::ZOOKEEPER_OLD ||
         kind == coordinator::AlarmKind::ZOOKEEPER_EMPTY;
}

}  // namespace

Checkers::Checkers(Cluster& cluster)
    : cluster_(cluster), log_(cluster.world(), Cluster::NAME), deeds_(cluster), leases_(cluster) {
  log_.onCommand([this](const coordinator::State& before, const Command& command) {
    deeds_.committed(before, command);
  });
  cluster.zookeeper().onCommitted([this](const Transaction& t) { log_.committed(t); });
  cluster.zookeeper().onReplaced(
      [this](const SimTree& before, const SimTree& after) { log_.replaced(before, after); });
  cluster.world().onStep([this](Host* host) { afterStep(host); });
}

// ---- after every event

void Checkers::afterStep(Host* host) {
  if (host == nullptr) {
    for (auto& worker : cluster_.workers()) checkDevices(*worker);
    return;
  }
  for (auto& machine : cluster_.coordinators()) {
    if (&machine->host == host) return checkCoordinator(*machine);
  }
  for (auto& worker : cluster_.workers()) {
    if (&worker->host == host) return checkDevices(*worker);
  }
}

void Checkers::checkCoordinator(CoordinatorMachine& machine) {
  checkDisk(machine);
  KJ_IF_MAYBE (running, cluster_.coordinatorOn(machine)) {
    const auto& facts = running->facts();
    if (!facts.alarm.empty() && !machine.disk.ranFull) {
      cluster_.world().violated("no coordinator stops by itself",
                                machine.name + ": " + facts.alarm);
    }
    for (const auto& [kind, text] : facts.alarms.active()) {
      if (log_.hasLost() && tellsOfLoss(kind)) continue;
      cluster_.world().violated("no coordinator raises an alarm", machine.name + ": " + text);
    }
    if (facts.rejectedCommands > 0) {
      cluster_.world().violated("what a leader accepts can be applied",
                                machine.name + " applied a command and rejected it");
    }
    checkState(machine, running->state(), facts.committedIndex);
    if (facts.stage == Stage::SERVING) {
      checkLeader(machine, running->state().epoch);
      if (running->age() > failover::CHECK_AGE_MAX * 4 / 5) deeds_.stalled(machine.name);
      if (running->state().epoch == log_.state().epoch) leases_.look(*running, deeds_);
    }
  }
}

void Checkers::checkLeader(CoordinatorMachine& machine, Epoch epoch) {
  std::string who = machine.name + " in its life " + number(machine.host.boot());
  auto [leader, isNew] = leaders_.emplace(epoch, who);
  if (isNew || leader->second == who) return;
  cluster_.world().violated("one leader per epoch",
                            who + " and " + leader->second + " lead epoch " + number(epoch.value));
}

void Checkers::checkState(CoordinatorMachine& machine, const coordinator::State& state,
                          LogIndex committed) {
  Seen& seen = seen_[machine.name];
  if (state.applied.value == 0 || state.applied > log_.lastIndex()) return;  // in flight
  if (seen.boot == machine.host.boot() && seen.stateIndex == state.applied &&
      seen.stateHash == state.hash()) {
    return;
  }
  // A leader runs ahead of what it knows to be committed. Deposed, it may hold commands that never
  // will be; they never leave it.
  if (committed < state.applied) return;
  seen = {machine.host.boot(), state.applied, state.hash(), seen.diskBatch};
  if (state.hash() == log_.hashAt(state.applied)) return;
  cluster_.world().violated(EQUAL, machine.name +
                                       " has another state than the log makes at index " +
                                       number(state.applied.value));
}

// What is on disk is committed, always.
void Checkers::checkDisk(CoordinatorMachine& machine) {
  const auto& meta = machine.disk.content.meta;
  Seen& seen = seen_[machine.name];
  if (!meta || meta->applied.batch == seen.diskBatch) return;
  seen.diskBatch = meta->applied.batch;
  if (meta->applied.batch > log_.lastBatch() ||
      meta->applied != log_.positionAt(meta->applied.batch)) {
    cluster_.world().violated("what is stored is committed",
                              machine.name + " has stored batch " +
                                  number(meta->applied.batch.value) +
                                  ", which the log does not hold so");
  }
}

// What runs on a device fits it: devices of processes that still stop are taken, too.
void Checkers::checkDevices(WorkerMachine& machine) {
  std::map<DeviceIndex, std::pair<Bytes, std::string>> used;
  for (const auto& [ref, rank] : machine.site.ranks()) {
    if (rank.report.pid == 0) continue;
    for (DeviceIndex device : rank.assignment.devices) {
      auto& [memory, ranks] = used[device];
      memory += rank.assignment.memory;
      ranks += " " + number(ref.deployment.value) + "/" + number(ref.replica.value) +
               " generation " + number(ref.generation.value);
    }
  }
  for (const auto& [index, use] : used) {
    const auto& devices = machine.site.node().devices;
    auto device = std::ranges::find(devices, index, &DeviceInfo::index);
    if (device != devices.end() && use.first <= device->memory) continue;
    cluster_.world().violated(
        "a device is never used twice",
        machine.host.name() + ":" + number(index.value) + " runs" + use.second);
  }
}

// ---- answers

void Checkers::answered(const RequestId& request, LogIndex index) {
  bool there = index.value > 0 && index <= log_.lastIndex() && log_.requestAt(index) == request;
  if (!there) {
    cluster_.world().violated(ACKNOWLEDGED, "request " + toText(request.guid) +
                                                " was acknowledged at index " +
                                                number(index.value) + ", the log ends at " +
                                                number(log_.lastIndex().value));
  }
  if (refused_.contains(request)) {
    cluster_.world().violated("a refused request has no effect",
                              "request " + toText(request.guid) + " was refused and accepted");
  }
}

void Checkers::refused(const RequestId& request, Duration age, const Refusal& refusal) {
  if (refusal.code == RefusalCode::REQUEST_TOO_OLD && age < OUTCOME_KEPT_AT_LEAST) {
    cluster_.world().violated(
        "a request id is good for ten minutes",
        "after " + number(static_cast<uint64_t>(age.millis())) + " ms: " + refusal.text);
  }
  refused_.insert(request);
  LogIndex index = log_.indexOf(request);
  if (index.value > 0) {
    cluster_.world().violated("a refused request has no effect",
                              "request " + toText(request.guid) + " is in the log at " +
                                  number(index.value) + " and was refused: " + refusal.text);
  }
}

void Checkers::read(const std::string& coordinator, LogIndex index, LogIndex known) {
  if (index >= known) return;
  cluster_.world().violated("linearizable reads",
                            coordinator + " answered from index " + number(index.value) +
                                " when index " + number(known.value) + " had been told before");
}

void Checkers::readStale(const std::string& coordinator, LogIndex index, LogIndex known) {
  if (index < known) {
    cluster_.world().violated("a client never goes back",
                              coordinator + " answered from index " + number(index.value) +
                                  " a client that had seen index " + number(known.value));
  } else if (index > log_.lastIndex()) {
    cluster_.world().violated(ACKNOWLEDGED, coordinator + " answered from index " +
                                                number(index.value) + ", the log ends at " +
                                                number(log_.lastIndex().value));
  }
}

// ---- the end

std::string Checkers::unsettled() const {
  for (const RequestId& request : refused_) {
    if (log_.indexOf(request).value > 0) return "a refused request took effect later";
  }
  if (!log_.isWhole()) return "a batch that was lost is not written again";
  std::string why = unsettledCoordinators();
  if (why.empty()) why = unsettledDeployments();
  if (why.empty()) why = unsettledRanks();
  if (why.empty()) why = unsettledDrains();
  return why;
}

std::string Checkers::unsettledCoordinators() const {
  size_t serving = 0;
  for (auto& machine : cluster_.coordinators()) {
    KJ_IF_MAYBE (running, cluster_.coordinatorOn(*machine)) {
      if (running->facts().stage == Stage::SERVING) serving++;
      const auto& alarms = running->facts().alarms.active();
      if (!alarms.empty()) return machine->name + " raises an alarm: " + alarms.begin()->second;
      if (running->facts().committedIndex != log_.lastIndex()) {
        return machine->name + " has applied " + number(running->facts().committedIndex.value) +
               " of " + number(log_.lastIndex().value);
      }
    } else {
      return machine->name + " is down";
    }
  }
  return serving == 1 ? "" : number(serving) + " coordinators serve as leader";
}

std::string Checkers::unsettledDeployments() const {
  const auto& state = log_.state();
  for (const auto& worker : cluster_.workers()) {
    const NodeName& name = worker->site.node().name;
    const auto* node = state.findNode(name);
    if (node == nullptr) return "node " + name.value + " is not registered";
    if (node->reachability != NodePhase::READY) return "node " + name.value + " is not READY";
  }
  for (const auto& [uid, deployment] : state.deployments) {
    if (deployment.deleting)
      return "deployment " + deployment.spec.name.value + " is being deleted";
    for (const auto& [replica, replicaState] : deployment.replicas) {
      if (replicaState.phase == ReplicaPhase::READY) continue;
      std::string why = waitsWithoutNeed(deployment, replica);
      if (!why.empty()) return why;
    }
  }
  return state.retired.empty() ? "" : number(state.retired.size()) + " generations are not gone";
}

// A replica may wait when no node has room for it, and must say why.
std::string Checkers::waitsWithoutNeed(const DeploymentState& deployment,
                                       ReplicaNumber replica) const {
  const ReplicaState& state = deployment.replicas.at(replica);
  std::string name = deployment.spec.name.value + "/" + number(replica.value);
  if (state.current) {
    std::string ranks;
    for (const auto& rank : state.current->ranks) ranks += " " + std::string(toText(rank.phase));
    return name + " is placed and not Ready: " + std::string(toText(state.phase)) + ", its ranks" +
           ranks + "; " + state.message;
  }
  if (state.reason == Reason::NONE || state.message.empty())
    return name + " waits without a reason";
  for (const auto& worker : cluster_.workers()) {
    const NodeInfo& node = worker->site.node();
    if (!log_.state().nodes.at(node.name).takesWork()) continue;
    auto used = log_.state().reservations.find(node.name);
    size_t taken = used == log_.state().reservations.end() ? 0 : used->second.size();
    if (node.devices.size() - taken >= deployment.spec.gpus.value_or(1)) {
      return name + " waits (" + state.message + "), and " + node.name.value + " has room";
    }
  }
  return "";
}

// A drain is done, or names what each of its replicas waits for.
std::string Checkers::unsettledDrains() const {
  const auto& state = log_.state();
  for (const auto& [name, node] : state.nodes) {
    if (node.drain != coordinator::DrainStage::DRAINING) continue;
    auto steps = coordinator::drainSteps(state, name);
    if (steps.empty()) return name.value + " is empty and not drained";
    for (const auto& step : steps) {
      if (step.blockedBy.empty()) return step.name + " stays on " + name.value + ", which drains";
    }
  }
  return "";
}

// What runs is what shall run, everywhere.
std::string Checkers::unsettledRanks() const {
  size_t running = 0;
  for (const auto& worker : cluster_.workers()) {
    for (const auto& [ref, rank] : worker->site.ranks()) {
      const auto* current = log_.state().findCurrent(coordinator::generationOf(ref));
      if (current == nullptr) return worker->host.name() + " runs a rank of an older generation";
      if (rank.report.phase != ReplicaPhase::READY) {
        return worker->host.name() + " has a rank that is not Ready";
      }
      running++;
    }
  }
  size_t wanted = 0;
  for (const auto& [uid, deployment] : log_.state().deployments) {
    for (const auto& [replica, state] : deployment.replicas) {
      if (state.current) wanted += state.current->plan.worldSize();
    }
  }
  if (running == wanted) return "";
  return number(running) + " ranks run, " + number(wanted) + " are placed";
}

}  // namespace muster::sim

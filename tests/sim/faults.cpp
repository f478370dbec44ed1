#include "tests/sim/faults.h"

#include "failover/paths.h"
#include "failover/records.h"
#include "tests/sim/process.h"

#include <utility>

namespace muster::sim {

std::string_view toText(Fault fault) {
  static constexpr std::string_view TEXTS[FAULT_KINDS] = {
      "coordinator_crash", "coordinator_power", "coordinator_freeze", "coordinator_stop",
      "step_down",         "candidate_removed", "worker_crash",       "worker_power",
      "worker_freeze",     "rank_crash",        "partition",          "connection_reset",
      "slow_network",      "lost_reply",        "lost_request",       "session_expiry",
      "session_move",      "server_down",       "server_isolated",    "server_lag",
      "wall_clock_jump"};
  return TEXTS[static_cast<size_t>(fault)];
}

Injector::Injector(Cluster& cluster) : cluster_(cluster), random_(cluster.world().fork("faults")) {
  for (size_t i = 0; i < FAULT_KINDS; i++) {
    if (below(2) == 0) enabled_.push_back(static_cast<Fault>(i));
  }
}

Duration Injector::draw(Duration min, Duration max) {
  return min + Duration{static_cast<int64_t>(below(static_cast<uint64_t>((max - min).nanos) + 1))};
}

void Injector::start() {
  cluster_.world().after(draw(500_ms, 3_s), [this] { next(); });
  keepDisks();
}

void Injector::next() {
  if (stopped_) return;
  if (!enabled_.empty()) inject(enabled_[below(enabled_.size())]);
  cluster_.world().after(draw(100_ms, 2500_ms), [this] { next(); });
}

void Injector::stop() {
  stopped_ = true;
  auto ends = std::exchange(ends_, {});
  for (auto& [id, action] : ends) action();
}

void Injector::hit(Fault fault, const std::string& whom) {
  hits_[static_cast<size_t>(fault)]++;
  cluster_.world().note("fault " + std::string(toText(fault)) + " " + whom);
}

// `action` happens once: after that time, or when all faults end.
void Injector::end(Duration after, kj::Function<void()> action) {
  uint64_t id = nextEnd_++;
  ends_.emplace(id, kj::mv(action));
  cluster_.world().after(after, [this, id] {
    auto found = ends_.find(id);
    if (found == ends_.end()) return;
    auto action = kj::mv(found->second);
    ends_.erase(found);
    action();
  });
}

void Injector::inject(Fault fault) {
  switch (fault) {
    case Fault::COORDINATOR_CRASH:
      return crashCoordinator(false);
    case Fault::COORDINATOR_POWER:
      return crashCoordinator(true);
    case Fault::COORDINATOR_FREEZE:
      return freezeCoordinator();
    case Fault::COORDINATOR_STOP:
      return stopCoordinator();
    case Fault::STEP_DOWN:
      return stepDown();
    case Fault::CANDIDATE_REMOVED:
      return removeCandidate();
    case Fault::WORKER_CRASH:
      return crashWorker(false);
    case Fault::WORKER_POWER:
      return crashWorker(true);
    case Fault::WORKER_FREEZE:
      return freezeWorker();
    case Fault::RANK_CRASH:
      return crashRank();
    case Fault::PARTITION:
      return partition();
    case Fault::CONNECTION_RESET:
      return resetConnections();
    case Fault::SLOW_NETWORK:
      return slowNetwork();
    case Fault::LOST_REPLY:
    case Fault::LOST_REQUEST:
      return disturbRequests(fault);
    case Fault::SESSION_EXPIRY:
      return expireSession();
    case Fault::SESSION_MOVE:
      return moveSessions();
    case Fault::SERVER_DOWN:
    case Fault::SERVER_ISOLATED:
      return takeServer(fault);
    case Fault::SERVER_LAG:
      return lag();
    case Fault::WALL_CLOCK_JUMP:
      return jumpClock();
  }
}

// ---- whom

CoordinatorMachine& Injector::anyCoordinator() {
  return *cluster_.coordinators()[below(cluster_.coordinators().size())];
}

CoordinatorMachine& Injector::leaderMostly() {
  CoordinatorMachine& drawn = anyCoordinator();
  if (below(4) == 0) return drawn;
  for (auto& machine : cluster_.coordinators()) {
    KJ_IF_MAYBE (running, cluster_.coordinatorOn(*machine)) {
      if (running->facts().stage == Stage::SERVING) return *machine;
    }
  }
  return drawn;
}

WorkerMachine& Injector::anyWorker() {
  return *cluster_.workers()[below(cluster_.workers().size())];
}

// ---- coordinators

void Injector::crashCoordinator(bool power) {
  CoordinatorMachine& machine = leaderMostly();
  if (!machine.host.isUp()) return;
  hit(power ? Fault::COORDINATOR_POWER : Fault::COORDINATOR_CRASH, machine.name);
  if (power) {
    machine.host.losePower();
    machine.disk.content = machine.synced;
  } else {
    machine.host.crash();
  }
  end(draw(50_ms, 6_s), [this, &machine] {
    if (!machine.host.isUp()) cluster_.startCoordinator(machine);
  });
}

void Injector::freezeCoordinator() {
  CoordinatorMachine& machine = leaderMostly();
  if (!machine.host.isUp() || machine.host.isFrozen()) return;
  hit(Fault::COORDINATOR_FREEZE, machine.name);
  machine.host.freeze();
  end(draw(20_ms, 4_s), [&machine] { machine.host.thaw(); });
}

void Injector::stopCoordinator() {
  CoordinatorMachine& machine = leaderMostly();
  if (!machine.host.isUp() || machine.leaving) return;
  hit(Fault::COORDINATOR_STOP, machine.name);
  machine.leaving = true;
  uint32_t boot = machine.host.boot();
  World& world = cluster_.world();
  // Its process ends when it says so, and is killed when it takes too long.
  auto gone = [this, &machine, boot] {
    if (machine.host.boot() != boot || !machine.host.isUp()) return;
    machine.host.crash();
    cluster_.startCoordinator(machine);
  };
  world.at(world.now(), machine.host, [&machine, &world, gone] {
    machine.process->add(machine.process->coordinator().shutDown().then(
        [&world, gone] { world.after(1_ms, kj::cp(gone)); }));
  });
  end(draw(8_s, 12_s), kj::cp(gone));
}

void Injector::stepDown() {
  CoordinatorMachine& machine = leaderMostly();
  if (!machine.host.isUp()) return;
  hit(Fault::STEP_DOWN, machine.name);
  World& world = cluster_.world();
  world.at(world.now(), machine.host, [&machine] {
    machine.process->add(machine.process->coordinator()
                             .stepDown(CoordinatorId{})
                             .then([](Result<Done>) {}, [](kj::Exception&&) {}));
  });
}

// The candidate that the epoch names, as an administrator might delete it by hand. Its leader lives
// and writes on until it hears of the next epoch: only the checks of its multis keep it out.
void Injector::removeCandidate() {
  failover::Paths paths(Cluster::NAME);
  const SimTree& tree = cluster_.zookeeper().truth();
  const Znode* epoch = tree.find(paths.epoch());
  if (epoch == nullptr) return;
  Guid leader = failover::decodeEpoch(*epoch->data, epoch->version).leaderGuid;
  for (const std::string& name : tree.childrenOf(paths.candidates())) {
    std::string path = paths.candidates() + "/" + name;
    if (!path.starts_with(paths.candidatePrefix(leader))) continue;
    hit(Fault::CANDIDATE_REMOVED, name);
    if (below(2) == 0) lag();  // so that the old leader hears of it late
    if (below(2) == 0) partition();
    return cluster_.zookeeper().removeByHand(path);
  }
}

// What a loss of power leaves of each store: what it held a while ago.
void Injector::keepDisks() {
  if (stopped_) return;
  for (auto& machine : cluster_.coordinators()) {
    if (below(2) == 0) machine->synced = machine->disk.content;
  }
  cluster_.world().after(draw(1_s, 4_s), [this] { keepDisks(); });
}

// ---- workers

void Injector::crashWorker(bool power) {
  WorkerMachine& machine = anyWorker();
  if (!machine.host.isUp()) return;
  hit(power ? Fault::WORKER_POWER : Fault::WORKER_CRASH, machine.host.name());
  if (power) {
    machine.host.losePower();
    machine.site.losePower();
  } else {
    machine.host.crash();
  }
  end(draw(50_ms, 12_s), [this, &machine] {
    if (!machine.host.isUp()) cluster_.startWorker(machine);
  });
}

void Injector::freezeWorker() {
  WorkerMachine& machine = anyWorker();
  if (!machine.host.isUp() || machine.host.isFrozen()) return;
  hit(Fault::WORKER_FREEZE, machine.host.name());
  machine.host.freeze();
  end(draw(20_ms, 12_s), [&machine] { machine.host.thaw(); });
}

void Injector::crashRank() {
  WorkerMachine& machine = anyWorker();
  if (machine.site.crashOne(below(1'000))) hit(Fault::RANK_CRASH, machine.host.name());
}

// ---- network

// One host loses some of its peers; the others keep theirs.
void Injector::partition() {
  Host& host = below(3) == 0 ? anyWorker().host : leaderMostly().host;
  std::vector<uint64_t> peers;
  for (auto& other : cluster_.coordinators()) peers.push_back(other->host.number());
  for (auto& other : cluster_.workers()) peers.push_back(other->host.number());
  for (size_t i = 0; i < SimZooKeeper::SERVERS; i++) {
    peers.push_back(cluster_.zookeeper().numberOf(i));
  }
  uint64_t share = 1 + below(4);  // in quarters
  std::erase_if(peers, [&](uint64_t peer) { return peer == host.number() || below(4) >= share; });
  if (peers.empty()) return;
  hit(Fault::PARTITION, host.name() + " from " + std::to_string(peers.size()));
  for (uint64_t peer : peers) cluster_.network().cut(host.number(), peer);
  end(draw(50_ms, 8_s), [this, &host, peers] {
    for (uint64_t peer : peers) cluster_.network().heal(host.number(), peer);
  });
}

void Injector::resetConnections() {
  CoordinatorMachine& coordinator = leaderMostly();
  WorkerMachine& worker = anyWorker();
  hit(Fault::CONNECTION_RESET, coordinator.name + " " + worker.host.name());
  cluster_.network().reset(coordinator.host, worker.host);
}

void Injector::slowNetwork() {
  hit(Fault::SLOW_NETWORK, "");
  NetworkKnobs before;
  cluster_.network().knobs.delayMax = before.delayMax * static_cast<int64_t>(2 + below(60));
  cluster_.network().knobs.slowPpm = 50'000;
  end(draw(200_ms, 4_s), [this] { cluster_.network().knobs = NetworkKnobs(); });
}

// ---- the coordination service

void Injector::disturbRequests(Fault fault) {
  hit(fault, "");
  bool reply = fault == Fault::LOST_REPLY;
  auto& knobs = cluster_.zookeeper().knobs;
  uint32_t& ppm = reply ? knobs.lostReplyPpm : knobs.lostRequestPpm;
  ppm = static_cast<uint32_t>(20'000 + below(300'000));
  end(draw(100_ms, 3_s), [&ppm] { ppm = 0; });
}

void Injector::expireSession() {
  auto sessions = cluster_.zookeeper().liveSessions();
  if (sessions.empty()) return;
  hit(Fault::SESSION_EXPIRY, "");
  cluster_.zookeeper().expire(sessions[below(sessions.size())]);
}

void Injector::moveSessions() {
  size_t server = below(SimZooKeeper::SERVERS);
  hit(Fault::SESSION_MOVE, std::to_string(server));
  cluster_.zookeeper().breakConnections(server);
}

void Injector::takeServer(Fault fault) {
  if (std::exchange(serverTaken_, true)) return;  // two of three are the quorum
  size_t server = below(SimZooKeeper::SERVERS);
  hit(fault, std::to_string(server));
  bool down = fault == Fault::SERVER_DOWN;
  auto set = [this, server, down](bool taken) {
    if (down) {
      cluster_.zookeeper().setDown(server, taken);
    } else {
      cluster_.zookeeper().setIsolated(server, taken);
    }
  };
  set(true);
  // A real follower gives up on a leader it does not hear after a few ticks.
  end(draw(200_ms, down ? 8_s : 2_s), [this, set] {
    set(false);
    serverTaken_ = false;
  });
}

void Injector::lag() {
  hit(Fault::SERVER_LAG, "");
  auto& knobs = cluster_.zookeeper().knobs;
  knobs.slowLagPpm = 200'000;
  knobs.slowLagMax = draw(50_ms, 1_s);
  end(draw(200_ms, 4_s), [&knobs] {
    CoordinationKnobs usual;
    knobs.slowLagPpm = usual.slowLagPpm;
    knobs.slowLagMax = usual.slowLagMax;
  });
}

void Injector::jumpClock() {
  bool worker = below(2) == 0;
  Host& host = worker ? anyWorker().host : anyCoordinator().host;
  hit(Fault::WALL_CLOCK_JUMP, host.name());
  host.jumpWallClock(draw(Duration{} - 3600_s, 3600_s));
}

}  // namespace muster::sim

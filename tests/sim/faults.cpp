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
      "wall_clock_jump",   "clock_rate",        "leader_cut_off",     "one_way_cut",
      "lost_watch",        "ghost_ephemeral",   "lone_write_hangs",   "late_news",
      "store_outage",      "disk_full",         "slow_disk",          "transactions_lost",
      "old_copy"};
  return TEXTS[static_cast<size_t>(fault)];
}

Injector::Injector(Cluster& cluster, uint64_t without)
    : cluster_(cluster), random_(cluster.world().fork("faults")) {
  for (size_t i = 0; i < FAULT_KINDS; i++) {
    bool isDrawn = below(2) == 0;
    if (isDrawn && (without >> i & 1) == 0) enabled_.push_back(static_cast<Fault>(i));
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
  if (!enabled_.empty() && !waits_) inject(enabled_[below(enabled_.size())]);
  cluster_.world().after(draw(100_ms, 2500_ms), [this] { next(); });
}

void Injector::stop() {
  stopped_ = true;
  endAll();
}

void Injector::endAll() {
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
    case Fault::CLOCK_RATE:
      return changeClockRates();
    case Fault::LEADER_CUT_OFF:
      return cutOffLeader();
    case Fault::ONE_WAY_CUT:
      return cutOneWay();
    case Fault::LOST_WATCH:
      return loseWatches();
    case Fault::GHOST_EPHEMERAL:
      return keepGhosts();
    case Fault::LONE_WRITE_HANGS:
      return hangWrites();
    case Fault::LATE_NEWS:
      return delayNews();
    case Fault::STORE_OUTAGE:
      return stopService();
    case Fault::DISK_FULL:
      return fillDisk();
    case Fault::SLOW_DISK:
      return slowDisk();
    case Fault::TRANSACTIONS_LOST:
      return loseTransactions();
    case Fault::OLD_COPY:
      return startFromOldCopy();
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

// The leader from every server of the coordination service, and perhaps from the other
// coordinators; a worker may still reach the leader and nobody else. Both: an island of two, whose
// worker goes on obeying, and nobody tells the leader that there is a later one.
void Injector::cutOffLeader() {
  Host& leader = leaderMostly().host;
  Host& worker = anyWorker().host;
  bool alone = below(2) == 0;
  bool faithful = below(2) == 0;
  auto cuts = cutsAround(leader, worker, alone, faithful);
  hit(Fault::LEADER_CUT_OFF, leader.name() + (faithful ? " with " + worker.name() : "") +
                                 (alone ? " from everybody" : ""));
  for (auto [a, b] : cuts) cluster_.network().cut(a, b);
  end(draw(500_ms, 15_s), [this, cuts] {
    for (auto [a, b] : cuts) cluster_.network().heal(a, b);
  });
}

std::vector<std::pair<uint64_t, uint64_t>> Injector::cutsAround(Host& leader, Host& worker,
                                                                bool alone, bool faithful) {
  std::vector<std::pair<uint64_t, uint64_t>> cuts;
  for (size_t i = 0; i < SimZooKeeper::SERVERS; i++) {
    cuts.emplace_back(leader.number(), cluster_.zookeeper().numberOf(i));
  }
  for (auto& other : cluster_.coordinators()) {
    if (&other->host == &leader) continue;
    if (alone) cuts.emplace_back(leader.number(), other->host.number());
    if (faithful) cuts.emplace_back(worker.number(), other->host.number());
  }
  for (auto& other : cluster_.workers()) {
    bool isOutside = alone && faithful && &other->host != &worker;
    if (isOutside) cuts.emplace_back(leader.number(), other->host.number());
  }
  return cuts;
}

void Injector::cutOneWay() {
  Host& from = below(2) == 0 ? anyWorker().host : leaderMostly().host;
  std::vector<uint64_t> peers;
  for (auto& other : cluster_.coordinators()) peers.push_back(other->host.number());
  for (size_t i = 0; i < SimZooKeeper::SERVERS; i++) {
    peers.push_back(cluster_.zookeeper().numberOf(i));
  }
  std::erase_if(peers, [&](uint64_t peer) { return peer == from.number() || below(2) == 0; });
  bool outwards = below(2) == 0;
  hit(Fault::ONE_WAY_CUT, from.name() + (outwards ? " is not heard" : " hears nothing"));
  auto change = [this, peers, outwards, self = from.number()](bool cut) {
    for (uint64_t peer : peers) {
      uint64_t source = outwards ? self : peer;
      uint64_t target = outwards ? peer : self;
      if (cut) {
        cluster_.network().cutOneWay(source, target);
      } else {
        cluster_.network().healOneWay(source, target);
      }
    }
  };
  change(true);
  end(draw(50_ms, 8_s), [change] { change(false); });
}

// ---- clocks and disks

void Injector::jumpClock() {
  bool worker = below(2) == 0;
  Host& host = worker ? anyWorker().host : anyCoordinator().host;
  hit(Fault::WALL_CLOCK_JUMP, host.name());
  host.jumpWallClock(draw(Duration{} - 3600_s, 3600_s));
}

// Once in a seed: clocks that are wrong stay wrong.
void Injector::changeClockRates() {
  if (hits_[static_cast<size_t>(Fault::CLOCK_RATE)] > 0) return;
  hit(Fault::CLOCK_RATE, "");
  auto change = [this](Host& host) {
    host.setClockRate(static_cast<int64_t>(below(200'001)) - 100'000);
  };
  for (auto& machine : cluster_.coordinators()) change(machine->host);
  for (auto& machine : cluster_.workers()) change(machine->host);
}

void Injector::fillDisk() {
  if (below(2) == 0) {
    WorkerMachine& machine = anyWorker();
    hit(Fault::DISK_FULL, machine.host.name());
    machine.orders.full = true;
    return end(draw(200_ms, 5_s), [&machine] { machine.orders.full = false; });
  }
  CoordinatorMachine& machine = leaderMostly();
  hit(Fault::DISK_FULL, machine.name);
  machine.disk.full = true;
  end(draw(200_ms, 5_s), [&machine] { machine.disk.full = false; });
}

void Injector::slowDisk() {
  CoordinatorMachine& machine = leaderMostly();
  hit(Fault::SLOW_DISK, machine.name);
  machine.slowDisk = draw(1_ms, 200_ms);
  end(draw(500_ms, 5_s), [&machine] { machine.slowDisk = Duration{}; });
}

}  // namespace muster::sim

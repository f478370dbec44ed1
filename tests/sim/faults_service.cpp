// What goes wrong with the coordination service.
#include "failover/paths.h"
#include "tests/sim/faults.h"
#include "tests/sim/process.h"

#include <algorithm>
#include <utility>

namespace muster::sim {
namespace {

constexpr Duration REST_OF_LOSS = 5_s;  // until everybody is back and has caught up
constexpr Duration LOSS_PATIENCE = 20_s;

}  // namespace

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

void Injector::loseWatches() {
  hit(Fault::LOST_WATCH, "");
  auto& knobs = cluster_.zookeeper().knobs;
  knobs.lostWatchPpm = 500'000;
  end(draw(200_ms, 5_s), [&knobs] { knobs.lostWatchPpm = 0; });
}

void Injector::keepGhosts() {
  size_t server = below(SimZooKeeper::SERVERS);
  hit(Fault::GHOST_EPHEMERAL, std::to_string(server));
  cluster_.zookeeper().keepGhosts(server);
  end(draw(2_s, 20_s), [this, server] { cluster_.zookeeper().dropGhosts(server); });
}

void Injector::hangWrites() {
  hit(Fault::LONE_WRITE_HANGS, "");
  auto& knobs = cluster_.zookeeper().knobs;
  knobs.loneWritesHang = true;
  end(draw(500_ms, 8_s), [&knobs] { knobs.loneWritesHang = false; });
}

void Injector::delayNews() {
  hit(Fault::LATE_NEWS, "");
  auto& knobs = cluster_.zookeeper().knobs;
  knobs.lateNews = true;
  end(draw(500_ms, 8_s), [&knobs] { knobs.lateNews = false; });
  cluster_.zookeeper().breakConnections(below(SimZooKeeper::SERVERS));
}

void Injector::stopService() {
  if (std::exchange(serverTaken_, true)) return;
  hit(Fault::STORE_OUTAGE, "");
  for (size_t i = 0; i < SimZooKeeper::SERVERS; i++) cluster_.zookeeper().setDown(i, true);
  end(draw(200_ms, 12_s), [this] {
    for (size_t i = 0; i < SimZooKeeper::SERVERS; i++) cluster_.zookeeper().setDown(i, false);
    serverTaken_ = false;
  });
}

// ---- what it had acknowledged is gone

// Coordinators hold what the service forgets, unless they are gone as well: so all else that is
// wrong ends first, and nothing more goes wrong until the log is whole again.
void Injector::loseTransactions() {
  if (std::exchange(lostOnce_, true)) return;
  waits_ = true;
  endAll();
  World& world = cluster_.world();
  world.after(REST_OF_LOSS + draw(0_ms, 1_s), [this] {
    cluster_.zookeeper().remember();
    Duration since = draw(20_ms, 3_s);
    cluster_.world().after(since, [this] { loseWhenHeld(cluster_.world().now() + LOSS_PATIENCE); });
  });
}

BatchNumber Injector::newestIn(const SimTree& tree) const {
  auto names = tree.childrenOf(failover::Paths(Cluster::NAME).log());
  return names.empty() ? BatchNumber{} : BatchNumber{std::stoull(names.back())};
}

// A batch that no coordinator has stored may be forgotten; here each one has been.
void Injector::loseWhenHeld(SteadyTime until) {
  if (stopped_) return;
  SimZooKeeper& zookeeper = cluster_.zookeeper();
  BatchNumber newest = newestIn(zookeeper.truth());
  bool all = true, held = false;
  for (auto& machine : cluster_.coordinators()) {
    const auto& meta = machine->disk.content.meta;
    all = all && machine->host.isUp() && !machine->host.isFrozen();
    held = held || (meta && meta->applied.batch == newest);
  }
  std::string epoch = failover::Paths(Cluster::NAME).epoch();
  const Znode* before = zookeeper.rememberedTree().find(epoch);
  bool sameLeader = before != nullptr && before->version == zookeeper.truth().find(epoch)->version;
  if (!sameLeader || cluster_.world().now() > until) {
    waits_ = false;
  } else if (all && held && newest > newestIn(zookeeper.rememberedTree())) {
    powerOff();
  } else {
    cluster_.world().after(1_ms, [this, until] { loseWhenHeld(until); });
  }
}

void Injector::powerOff() {
  SimZooKeeper& zookeeper = cluster_.zookeeper();
  uint64_t count = newestIn(zookeeper.truth()).value - newestIn(zookeeper.rememberedTree()).value;
  hit(Fault::TRANSACTIONS_LOST, std::to_string(count) + " batches");
  zookeeper.loseSinceRemembered();
  end(draw(100_ms, 3_s), [&zookeeper] {
    for (size_t i = 0; i < SimZooKeeper::SERVERS; i++) zookeeper.setDown(i, false);
  });
  lostUpTo_ = {newestIn(zookeeper.truth()).value + count};
  awaitRepair(cluster_.world().now() + LOSS_PATIENCE);
}

void Injector::awaitRepair(SteadyTime until) {
  bool whole = newestIn(cluster_.zookeeper().truth()) >= lostUpTo_;
  if (whole || cluster_.world().now() > until) {
    // Everybody has heard of it when this is over.
    cluster_.world().after(REST_OF_LOSS, [this] { waits_ = false; });
  } else {
    cluster_.world().after(100_ms, [this, until] { awaitRepair(until); });
  }
}

}  // namespace muster::sim

// What goes wrong with the coordination service.
#include "tests/sim/faults.h"
#include "tests/sim/process.h"

#include <utility>

namespace muster::sim {

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

}  // namespace muster::sim

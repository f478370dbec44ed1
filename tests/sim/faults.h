// The injector: each seed turns on some kinds of fault (all at once would mask each other), draws
// what happens when, and to whom. Every fault has its end drawn at its beginning.
#pragma once

#include "tests/sim/cluster.h"

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace muster::sim {

enum class Fault : uint8_t {
  COORDINATOR_CRASH,   // kill -9, and started again
  COORDINATOR_POWER,   // as before, without a farewell, and the newest of its store is gone
  COORDINATOR_FREEZE,  // SIGSTOP and SIGCONT
  COORDINATOR_STOP,    // SIGTERM: it hands over
  STEP_DOWN,           // told to hand over
  CANDIDATE_REMOVED,   // somebody deletes a leader's candidate: another takes over while it lives
  WORKER_CRASH,        // the agent's kill -9; its ranks go on
  WORKER_POWER,        // the whole machine
  WORKER_FREEZE,
  RANK_CRASH,
  PARTITION,  // one host and some others, coordination servers among them
  CONNECTION_RESET,
  SLOW_NETWORK,
  LOST_REPLY,  // of the coordination service: outcomes unknown
  LOST_REQUEST,
  SESSION_EXPIRY,
  SESSION_MOVE,  // a coordination server drops its connections
  SERVER_DOWN,
  SERVER_ISOLATED,  // a coordination server cut off from its leader goes on answering reads
  SERVER_LAG,
  WALL_CLOCK_JUMP,
  CLOCK_RATE,      // each host's steady clock is wrong by up to a tenth
  LEADER_CUT_OFF,  // the leader from the coordination service, and perhaps from its peers
  ONE_WAY_CUT,
  LOST_WATCH,
  GHOST_EPHEMERAL,  // a coordination server goes on showing what a closed session left
  LONE_WRITE_HANGS,
  LATE_NEWS,     // requests are queued before their client hears that it is disconnected
  STORE_OUTAGE,  // all coordination servers are down
  DISK_FULL,
  SLOW_DISK,
  TRANSACTIONS_LOST,  // the coordination service forgets the newest that it had acknowledged
  OLD_COPY,           // it is started from an old copy of its data, or from nothing
};
inline constexpr size_t FAULT_KINDS = 33;
std::string_view toText(Fault fault);

class Injector {
 public:
  // `without`: a bit for each kind that is left out.
  Injector(Cluster& cluster, uint64_t without);
  KJ_DISALLOW_COPY(Injector);

  void start();
  // No new faults, and those under way end now: hosts are thawed and started, partitions heal.
  void stop();

  const std::array<uint64_t, FAULT_KINDS>& hits() const { return hits_; }

 private:
  void next();
  void inject(Fault fault);
  void hit(Fault fault, const std::string& whom);
  void end(Duration after, kj::Function<void()> action);
  void endAll();
  Duration draw(Duration min, Duration max);
  uint64_t below(uint64_t limit) { return random_.below(limit); }

  CoordinatorMachine& anyCoordinator();
  // The one that serves, more often than not: its faults are the interesting ones.
  CoordinatorMachine& leaderMostly();
  WorkerMachine& anyWorker();

  void crashCoordinator(bool power);
  void freezeCoordinator();
  void stopCoordinator();
  void stepDown();
  void removeCandidate();
  void crashWorker(bool power);
  void freezeWorker();
  void crashRank();
  void partition();
  void resetConnections();
  void slowNetwork();
  void disturbRequests(Fault fault);
  void expireSession();
  void moveSessions();
  void takeServer(Fault fault);
  void lag();
  void loseWatches();
  void keepGhosts();
  void hangWrites();
  void delayNews();
  void stopService();
  void replaceDataOnce(kj::Function<void()> begin);
  void restAndGoOn();
  bool allRun();
  void loseTransactions();
  void loseWhenHeld(SteadyTime until);
  void powerOff();
  void awaitRepair(SteadyTime until);
  void startFromOldCopy();
  void startWhenOld(SteadyTime until);
  void putNewestBack(const SimZooKeeper::Data& newest);
  void checkNothingWritten();
  void startServersLater();
  BatchNumber newestIn(const SimTree& tree) const;
  void jumpClock();
  void changeClockRates();
  void cutOffLeader();
  std::vector<std::pair<uint64_t, uint64_t>> cutsAround(Host& leader, Host& worker, bool alone,
                                                        bool faithful);
  void cutOneWay();
  void fillDisk();
  void slowDisk();
  void keepDisks();

  Cluster& cluster_;
  SeededRandom random_;
  std::vector<Fault> enabled_;
  bool stopped_ = false;
  bool serverTaken_ = false;
  bool waits_ = false;  // nothing new goes wrong meanwhile
  bool dataReplaced_ = false;
  SimZooKeeper::Data copy_;  // what the service goes back to
  BatchNumber lostUpTo_;
  uint64_t nextEnd_ = 1;
  std::map<uint64_t, kj::Function<void()>> ends_;  // of faults under way
  std::array<uint64_t, FAULT_KINDS> hits_{};
};

}  // namespace muster::sim

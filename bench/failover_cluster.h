// Real ZooKeeper servers and three real coordinators on this machine, with a client that writes all
// the time; for benchmarks that take the leader away.
#pragma once

#include "bench/log_watch.h"
#include "bench/report.h"
#include "bench/write_stream.h"
#include "tests/support/coordinator_process.h"
#include "tests/support/zk_server.h"

#include <functional>
#include <optional>
#include <vector>

namespace muster::bench {

// A run over this counts as this.
constexpr double GAP_MAX_MS = 10'000;

// Milliseconds. Without a guess of death `detected` gets nothing, and `elected` counts from the
// cause on.
struct Gaps {
  std::vector<double> total, detected, elected, caughtUp, firstCommit, firstAnswer;
};

// The gaps as min_ms, p50_ms, p99_ms, the runs that took 10 s or more, and the medians of the
// parts.
void noteGaps(Report& report, const Gaps& gaps, const std::string& prefix = "");
void noteMedians(Report& report, const Gaps& gaps);  // of the parts
// What others take on this kind of machine, as fields of `peer` to print beside: from kill -9 of
// the controller, of Slurm with its smallest timeout; etcd and ZooKeeper are the store alone.
void notePeers(Report& report);

class FailoverCluster {
 public:
  // The ZooKeeper session of each coordinator lasts a second. Returns when a leader serves.
  // `zookeeper`: through which addresses each coordinator reaches it.
  FailoverCluster(EventLoop& loop, const support::CoordinatorProcesses::ZookeeperOf& zookeeper);
  KJ_DISALLOW_COPY(FailoverCluster);

  const Clock& clock() const { return clock_; }
  support::CoordinatorProcesses& processes() { return processes_; }
  WriteStream& writes() { return *writes_; }
  const ClusterName& name() const;
  Transport& transport() { return *transport_; }
  std::vector<std::string> addresses() const;

  // Turns the event loop until it is so; throws with the logs when that takes a minute.
  void until(const std::string& what, std::function<bool()> isSo);
  void wait(Duration duration);
  // Leaves so many records in the state as are still missing to `records`, and waits until all
  // coordinators have applied them.
  void fillTo(uint64_t records);

  // Waits until writes flow, all coordinators run and have caught up, and all others watch the
  // leader. Returns who leads; epoch() is its.
  size_t settle();
  // The same where nobody watches the leader by guesses.
  size_t settleWithoutGuesses();
  uint64_t epoch() const { return writes_->epoch(); }
  void start(size_t member);

  // Waits for the first write that a newer epoch than `epoch` acknowledges and notes how long after
  // `since` that was.
  void noteGap(Gaps& gaps, uint64_t epoch, SteadyTime since);

 private:
  void bootstrap();
  void registerNode();
  size_t awaitWrites();
  std::optional<size_t> leaderOf(uint64_t epoch);
  uint64_t applied(size_t member);
  void noteParts(Gaps& gaps, uint64_t newer, SteadyTime since);

  EventLoop& loop_;
  SystemClock clock_;
  support::CoordinatorProcesses processes_;
  std::vector<LogWatch> logs_;
  kj::Own<Transport> transport_;
  kj::Own<WriteStream> writes_;
};

}  // namespace muster::bench

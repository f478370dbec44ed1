// The replicated log through three real ZooKeeper servers.
//
// commands_per_s: commands of 200 bytes through the log alone, counted when they are committed.
// applied_per_s: the same, decided, applied to a state and written to the store on disk as well.
// commit_p50_ratio: one command at a time, 200 a second, from its submission to its answer
// (decided, appended, applied, stored), against the same multi of the same bytes sent without
// Muster, in alternating slices of one second over one connection.
//
// Usage: log [--seconds 10] [--slices 20] [--servers 3]
#include "base/event_loop.h"
#include "base/kj_time.h"
#include "bench/options.h"
#include "bench/report.h"
#include "coordinator/driver.h"
#include "coordinator/follower.h"
#include "coordinator/rocks_store.h"
#include "failover/append_rules.h"
#include "failover/election.h"
#include "failover/zookeeper.h"
#include "protocol/codec.h"
#include "tests/base/temporary_folder.h"
#include "tests/support/zk_server.h"

#include <kj/debug.h>

#include <cstdio>

namespace muster::bench {
namespace {

using namespace muster::coordinator;

const ClusterName CLUSTER{"bench"};
constexpr size_t COMMAND_BYTES = 200;
constexpr size_t NODES = 1000;
constexpr Duration PACE = 5_ms;  // 200 a second
constexpr uint64_t BATCHES_KEPT = 1000;
constexpr uint64_t TRIM_AT_ONCE = 200;
constexpr size_t IN_FLIGHT = 4096;  // commands offered and not committed: enough to fill the window

failover::ZookeeperOptions zookeeperOptions(const support::ZkServers& servers) {
  failover::ZookeeperOptions options;
  options.servers = servers.addresses();
  options.sessionTimeout = 4_s;
  options.digest = "muster:a secret of benchmarks";
  return options;
}

double msOf(Duration duration) { return static_cast<double>(duration.nanos) / 1e6; }
double secondsOf(Duration duration) { return static_cast<double>(duration.nanos) / 1e9; }

// The one leader of a fresh cluster.
class Log {
 public:
  explicit Log(size_t serverCount)
      : servers_(serverCount, support::likeProduction()),
        service_(loop, zookeeperOptions(servers_)) {
    session = service_.open();
    while (session->state() == failover::SessionState::CONNECTING) {
      session->stateChanged().wait(loop.waitScope());
    }
    auto history = failover::bootstrap(*session, paths, CLUSTER, random).wait(loop.waitScope());
    KJ_REQUIRE(history.ok(), history.refusal().text.c_str());
    this->history = *history;
    contender_ = kj::heap<failover::Contender>(
        *session, loop.timer(), clock, random,
        failover::ContenderIdentity{CLUSTER, CoordinatorId{"co1"}, random.guid(), "bench:1"});
    auto elected = contender_->campaign().wait(loop.waitScope());
    epochVersion = elected.view.version;
    auto times = [this] { return failover::BatchTimes{clusterClock.now(), clock.wallNow()}; };
    leadership = contender_->lead(elected, LogPosition{}, times, failover::AppendOptions());
  }

  EventLoop loop;
  SystemClock clock;
  SystemRandom random;
  ClusterClock clusterClock{clock, Instant{1}};
  failover::Paths paths{CLUSTER};
  HistoryId history;
  int32_t epochVersion = 0;

 private:
  support::ZkServers servers_;
  failover::ZookeeperService service_;

 public:
  kj::Own<failover::CoordinationSession> session;

 private:
  kj::Own<failover::Contender> contender_;

 public:
  kj::Own<failover::Leadership> leadership;

  // Keeps the log as short as a snapshot would: it lives in the servers' memory.
  void trim(const failover::Paths& tree, uint64_t newest, uint64_t& kept) {
    while (newest - kept >= BATCHES_KEPT + TRIM_AT_ONCE) {
      std::vector<failover::Op> ops;
      for (size_t i = 0; i < TRIM_AT_ONCE; ++i) {
        ops.push_back(failover::removeOp(tree.batch(BatchNumber{++kept})));
      }
      tasks_.add(session->multi(std::move(ops)).ignoreResult());
    }
  }

  // Lets the loop run until `done`.
  void runUntil(const std::function<bool()>& done) {
    while (!done()) {
      auto turn = kj::newPromiseAndFulfiller<void>();
      waiting_ = kj::mv(turn.fulfiller);
      turn.promise.exclusiveJoin(loop.timer().afterDelay(10 * kj::MILLISECONDS))
          .wait(loop.waitScope());
    }
  }
  void somethingHappened() {
    KJ_IF_MAYBE (fulfiller, waiting_) (*fulfiller)->fulfill();
  }

 private:
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> waiting_;
  Tasks tasks_{"trimming"};
};

// Offers commands for `seconds` and returns how many a second were committed. `offer` appends one.
double throughput(Log& log, double seconds, const std::function<void()>& offer,
                  const std::function<uint64_t()>& committed) {
  uint64_t offered = committed();
  SteadyTime began = log.clock.steadyNow();
  uint64_t before = offered;
  auto elapsed = [&] { return secondsOf(log.clock.steadyNow() - began); };
  while (elapsed() < seconds) {
    while (offered - committed() < IN_FLIGHT) {
      offer();
      offered++;
    }
    uint64_t wanted = offered - IN_FLIGHT / 2;
    log.runUntil([&] { return committed() >= wanted || elapsed() > seconds + 10; });
  }
  double rate = static_cast<double>(committed() - before) / elapsed();
  log.runUntil([&] { return committed() >= offered; });
  return rate;
}

double logThroughput(Log& log, double seconds) {
  uint64_t committed = 0;
  uint64_t trimmed = 0;
  log.leadership->onCommitted([&](const Batch& batch, const LogPosition& position) {
    committed += batch.commands.size();
    log.trim(log.paths, position.batch.value, trimmed);
    log.somethingHappened();
  });
  Tasks appends([](kj::Exception&& why) { kj::throwFatalException(kj::mv(why)); });
  auto offer = [&] {
    appends.add(log.leadership->append(ByteString(COMMAND_BYTES, 'c')).committed);
  };
  double rate = throughput(log, seconds, offer, [&] { return committed; });
  log.leadership->onCommitted([](const Batch&, const LogPosition&) {});
  return rate;
}

NodeName nodeName(size_t i) { return {"node" + std::to_string(i % NODES)}; }

// A state with nodes behind a driver, its store on disk.
class Machine {
 public:
  explicit Machine(Log& log)
      : log_(log),
        store_(folder_ / "store", StoreAccess::READ_WRITE),
        follower_(store_, facts_, logger_),
        opened_(open()),
        trimmed_(log.leadership->appended().batch.value),
        driver_({follower_.lend(), *log.leadership, store_, log.clusterClock, log.clock, facts_,
                 logger_}) {
    driver_.onStored([this] {
      log_.trim(log_.paths, log_.leadership->appended().batch.value, trimmed_);
      log_.somethingHappened();
    });
    for (size_t i = 0; i < NODES; ++i) registerNode(nodeName(i));
    padding_ = std::string(COMMAND_BYTES - encodedSize(""), 'r');
    KJ_ASSERT(encodedSize(padding_) == COMMAND_BYTES, encodedSize(padding_));
  }

  // One change of 200 bytes by the leader itself.
  void propose() {
    auto index = driver_.propose(body(next_++), "coordinator/co1");
    KJ_ASSERT(index.ok(), index.refusal().text.c_str());
  }
  uint64_t committed() const { return driver_.committedIndex().value; }

  // One change by a client, answered when committed.
  kj::Promise<void> submit() {
    Request request{"admin/bench", {log_.random.guid(), log_.clusterClock.now()}, body(next_++)};
    return driver_.submit(kj::mv(request)).then([](Result<Outcome> outcome) {
      KJ_ASSERT(outcome.ok() && !outcome->rejected);
    });
  }

  // What the log takes for one such change.
  ByteString batchBytes() const {
    Batch batch{.history = log_.history,
                .epoch = Epoch{1},
                .number = BatchNumber{1},
                .firstIndex = LogIndex{1},
                .leaderTime = log_.clusterClock.now(),
                .wallTime = log_.clock.wallNow(),
                .id = log_.random.guid(),
                .previousChain = log_.random.guid(),
                .stateHash = std::nullopt,
                .commands = {ByteString(COMMAND_BYTES, 'c')}};
    return encodeBatch(batch);
  }

 private:
  bool open() {
    follower_.open(CLUSTER, log_.history);
    LogPosition end = log_.leadership->appended();
    if (end.batch.value == 0) return true;
    // The log holds what no state machine understands: this state starts behind it.
    store_.write({end, {}, {}, {}});
    follower_.lend().applied = end.index;
    return true;
  }

  void registerNode(const NodeName& name) {
    NodeInfo info;
    info.name = name;
    info.address = "10.0.0.1";
    info.version = "bench";
    for (uint32_t i = 0; i < 8; ++i) {
      info.devices.push_back({{i}, "cpu", name.value + "-" + std::to_string(i), 80_GiB, 0});
    }
    auto index = driver_.propose(NodeRegistered{info, log_.random.guid()}, "coordinator/co1");
    KJ_ASSERT(index.ok(), index.refusal().text.c_str());
    driver_.committed(*index).wait(log_.loop.waitScope());
  }

  NodeCordoned body(size_t i) const {
    NodeName name{"node" + std::to_string(100 + i % 900)};  // of one length
    return {name, padding_};
  }
  size_t encodedSize(const std::string& reason) const {
    Command command{.schemaVersion = 1,
                    .principal = "admin/bench",
                    .request = {log_.random.guid(), log_.clusterClock.now()},
                    .decidedAt = log_.clusterClock.now(),
                    .decidedWall = log_.clock.wallNow(),
                    .body = NodeCordoned{{"node100"}, reason}};
    return encodeCommand(command).size();
  }

  Log& log_;
  TemporaryFolder folder_;
  CoordinatorFacts facts_;
  Logger logger_{LogOptions{.output = [](std::string_view) {}}};
  RocksStore store_;
  Follower follower_;
  bool opened_;
  uint64_t trimmed_;
  Driver driver_;
  std::string padding_;
  size_t next_ = 0;
};

// The same multi, without Muster: its own names, chained in the same way.
class RawWriter {
 public:
  RawWriter(Log& log, ByteString bytes) : log_(log), bytes_(std::move(bytes)) {
    std::vector<failover::Op> ops;
    ops.push_back(failover::createOp(paths_.root, ""));
    ops.push_back(failover::createOp(paths_.log(), ""));
    auto made = log_.session->multi(std::move(ops)).wait(log_.loop.waitScope());
    KJ_REQUIRE(made.code == failover::ZkCode::OK);
  }

  kj::Promise<void> write() { return write(bytes_); }

  kj::Promise<void> write(const ByteString& bytes) {
    auto ops = failover::appendOps(paths_, log_.epochVersion, BatchNumber{++number_}, bytes);
    log_.trim(paths_, number_, trimmed_);
    ops[0] = failover::checkOp(log_.paths.epoch(), log_.epochVersion);
    return log_.session->multi(std::move(ops)).then([](failover::MultiResult&& result) {
      KJ_ASSERT(result.code == failover::ZkCode::OK);
    });
  }

 private:
  Log& log_;
  ByteString bytes_;
  failover::Paths paths_{ClusterName{"raw"}};
  uint64_t number_ = 0;
  uint64_t trimmed_ = 0;
};

// Batches of the log's size, four in flight, without Muster; in commands a second.
double rawThroughput(Log& log, RawWriter& raw, double seconds) {
  constexpr size_t COMMANDS = 64 * 1024 / COMMAND_BYTES;
  constexpr size_t WINDOW = 4;
  const ByteString bytes(COMMANDS * (COMMAND_BYTES + 8), 'b');
  uint64_t committed = 0;
  uint64_t sent = 0;
  Tasks writes([](kj::Exception&& why) { kj::throwFatalException(kj::mv(why)); });
  SteadyTime began = log.clock.steadyNow();
  auto elapsed = [&] { return secondsOf(log.clock.steadyNow() - began); };
  while (elapsed() < seconds) {
    for (; sent - committed < WINDOW; ++sent) {
      writes.add(raw.write(bytes).then([&] {
        committed++;
        log.somethingHappened();
      }));
    }
    log.runUntil([&] { return sent - committed < WINDOW; });
  }
  double rate = static_cast<double>(committed * COMMANDS) / elapsed();
  log.runUntil([&] { return committed == sent; });
  return rate;
}

// One slice of a second: one write outstanding, one each 5 ms.
void slice(Log& log, const std::function<kj::Promise<void>()>& write,
           std::vector<double>& latencies) {
  SteadyTime began = log.clock.steadyNow();
  for (SteadyTime due = began; due - began < 1_s; due = due + PACE) {
    SteadyTime now = log.clock.steadyNow();
    if (now < due) log.loop.timer().afterDelay(toKj(due - now)).wait(log.loop.waitScope());
    SteadyTime sent = log.clock.steadyNow();
    write().wait(log.loop.waitScope());
    SteadyTime answered = log.clock.steadyNow();
    latencies.push_back(msOf(answered - sent));
    due = std::max(due, answered - PACE);  // a late one is not caught up on
  }
}

int run(const Options& options) {
  Log log(options.count("servers"));
  Report report("log");
  report.budget("commands_per_s", ">= 200000").budget("commit_p50_ratio", "<= 1.3");
  report.figure("commands_per_s", logThroughput(log, options.number("seconds")));

  Machine machine(log);
  report.figure("applied_per_s", throughput(
                                     log, options.number("seconds"), [&] { machine.propose(); },
                                     [&] { return machine.committed(); }));
  RawWriter raw(log, machine.batchBytes());
  report.figure("raw_commands_per_s", rawThroughput(log, raw, options.number("seconds")));
  std::vector<double> ours;
  std::vector<double> theirs;
  for (size_t i = 0; i < options.count("slices"); ++i) {
    slice(
        log, [&] { return raw.write(); }, theirs);
    slice(
        log, [&] { return machine.submit(); }, ours);
  }
  if (!ours.empty()) {
    report.figure("commit_p50_ms", percentile(ours, 0.5));
    report.figure("commit_p99_ms", percentile(ours, 0.99));
    report.figure("raw_p50_ms", percentile(theirs, 0.5));
    report.figure("raw_p99_ms", percentile(theirs, 0.99));
    report.figure("commit_p50_ratio", percentile(ours, 0.5) / percentile(theirs, 0.5));
    report.figure("samples", static_cast<double>(ours.size()));
  }
  return report.print();
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) {
  try {
    return muster::bench::run({argc, argv, {{"seconds", 10}, {"slices", 20}, {"servers", 3}}});
  } catch (const kj::Exception& exception) {
    std::fprintf(stderr, "log: %s\n", exception.getDescription().cStr());
    return 2;
  }
}

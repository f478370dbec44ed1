// How long a cluster takes no writes when its leader is killed: from kill(2) to the first
// acknowledged write of a newer epoch, on one clock, with real processes and a client that offers a
// write each millisecond. No run is left out; one over 10 s counts as 10 s.
//
// MUSTER_BENCH_KILLS: kills with three ZooKeeper servers (20 unless said).
#include "bench/report.h"
#include "bench/write_stream.h"
#include "tests/support/coordinator_process.h"
#include "tests/support/zk_server.h"

#include <kj/debug.h>

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <optional>

namespace muster::bench {
namespace {

const ClusterName CLUSTER{"bench"};
const std::string NODE = "gpu01";
constexpr auto PATIENCE = 60 * kj::SECONDS;
constexpr double GAP_MAX_MS = 10'000;
constexpr Duration TICK = 500_ms;  // for a session of 1 s

struct Gaps {
  std::vector<double> total, detected, elected, caughtUp, firstCommit, firstAnswer;
};

class FakeAgent final : public schema::Agent::Server {
 public:
  virtual ~FakeAgent() noexcept(false) = default;
};

// "2026-11-20T12:44:42.113Z ..." as milliseconds since 1970.
std::optional<double> timeOf(const std::string& line) {
  std::tm fields{};
  const char* rest = strptime(line.c_str(), "%Y-%m-%dT%H:%M:%S", &fields);
  if (rest == nullptr || *rest != '.') return std::nullopt;
  return static_cast<double>(timegm(&fields)) * 1000 + std::atof(rest + 1);
}

class Cluster {
 public:
  explicit Cluster(size_t zookeeperServers)
      : zookeeper(zookeeperServers, TICK), processes(CLUSTER, zookeeper.addresses(), 3) {
    auto made = processes.run({"--config", processes.configPath(0), "--bootstrap"});
    KJ_REQUIRE(made.code == 0, made.output.c_str());
    for (size_t i = 0; i < processes.count(); i++) processes.start(i);
    transport = makeTlsTransport(loop.network(), loop.timer(), CLUSTER,
                                 processes.certificate({Role::OPERATOR, "bench"}));
    registerNode();
    std::vector<std::string> addresses;
    for (size_t i = 0; i < processes.count(); i++) addresses.push_back(processes.address(i));
    writes = kj::heap<WriteStream>(loop, *transport, addresses, NODE);
  }

  Gaps measure(size_t kills, bool guesses) {
    Gaps gaps;
    for (size_t i = 0; i < kills; i++) {
      killOnce(gaps, guesses);
      std::fprintf(stderr, "kill %zu: %.1f ms\n", i + 1, gaps.total.back());
    }
    return gaps;
  }

 private:
  void until(const char* what, std::function<bool()> isSo) {
    auto deadline = loop.timer().now() + PATIENCE;
    while (!isSo()) {
      KJ_REQUIRE(loop.timer().now() < deadline, "waited in vain", what, processes.log(0).c_str(),
                 processes.log(1).c_str(), processes.log(2).c_str());
      loop.timer().afterDelay(2 * kj::MILLISECONDS).wait(loop.waitScope());
    }
  }

  // A worker that attaches to all and says nothing more: its node can be written to.
  void registerNode() {
    auto asWorker = makeTlsTransport(loop.network(), loop.timer(), CLUSTER,
                                     processes.certificate({Role::WORKER, NODE}));
    until("somebody serves", [&] { return leaderOf(1).has_value(); });
    size_t leader = *leaderOf(1);
    auto connection =
        connectRpc(*asWorker, loop.timer(), processes.address(leader), Role::COORDINATOR)
            .wait(loop.waitScope());
    auto request =
        connection->bootstrap<schema::Gate>().workerRequest().send().getGate().attachRequest();
    WorkerHello hello;
    hello.cluster = CLUSTER.value;
    hello.node.name = {NODE};
    hello.node.address = "127.0.0.1";
    hello.node.devices = {{{0}, "cpu", NODE + "-0", 4_GiB, 0}};
    hello.node.version = "bench";
    hello.incarnation = {1, 2};
    encode(hello, request.initHello());
    request.setAgent(kj::heap<FakeAgent>());
    auto response = request.send().wait(loop.waitScope());
    KJ_REQUIRE(response.getAnswer().isAccepted());
    until("the node is registered", [&] { return applied(leader) >= 2; });
  }
  uint64_t applied(size_t member) {
    auto connection =
        connectRpc(*transport, loop.timer(), processes.address(member), Role::COORDINATOR)
            .wait(loop.waitScope());
    auto hello = connection->bootstrap<schema::Gate>().helloRequest().send().wait(loop.waitScope());
    return hello.getInfo().getAppliedIndex();
  }

  // The line in which a coordinator says `text` about `epoch`, as wall time in milliseconds.
  std::optional<double> said(size_t member, const std::string& text, uint64_t epoch) {
    std::string log = processes.log(member);
    std::string stamp = " epoch=" + std::to_string(epoch);
    for (size_t at = 0; at < log.size();) {
      size_t end = std::min(log.find('\n', at), log.size());
      std::string line = log.substr(at, end - at) + " ";
      if (line.find(" info " + text) != std::string::npos &&
          line.find(stamp + " ") != std::string::npos) {
        return timeOf(line);
      }
      at = end + 1;
    }
    return std::nullopt;
  }
  std::optional<size_t> leaderOf(uint64_t epoch) {
    for (size_t i = 0; i < processes.count(); i++) {
      if (said(i, "serving", epoch)) return i;
    }
    return std::nullopt;
  }

  // All others stand in line and have seen this leader, so that the next kill starts from rest.
  bool isSettled(size_t leader, uint64_t epoch, bool guesses) {
    for (size_t i = 0; i < processes.count(); i++) {
      const char* sign = guesses ? "watches the leader" : "stands behind the leader";
      if (i != leader && !said(i, sign, epoch)) return false;
    }
    return true;
  }

  void killOnce(Gaps& gaps, bool guesses) {
    until("a write is acknowledged", [&] { return writes->epoch() > 0; });
    uint64_t epoch = writes->epoch();
    until("its leader is known", [&] { return leaderOf(epoch).has_value(); });
    size_t leader = *leaderOf(epoch);
    until("the others watch it", [&] { return isSettled(leader, epoch, guesses); });
    uint64_t before = writes->acknowledged();
    until("writes flow", [&] { return writes->acknowledged() > before + 20; });

    SteadyTime killed = clock.steadyNow();
    double killedAt = static_cast<double>(clock.wallNow().unixMs);
    processes.signal(leader, SIGKILL);
    until("a newer epoch acknowledges", [&] { return writes->epoch() > epoch; });
    Duration gap = writes->epochSeenSteady() - killed;
    gaps.total.push_back(std::min(static_cast<double>(gap.nanos) / 1e6, GAP_MAX_MS));
    processes.kill(leader);
    if (auto next = leaderOf(writes->epoch())) noteParts(gaps, *next, epoch, killedAt);
    processes.start(leader);
  }

  void noteParts(Gaps& gaps, size_t next, uint64_t oldEpoch, double killedAt) {
    auto detected = said(next, "the leader is taken for dead", oldEpoch);
    auto elected = said(next, "elected", writes->epoch());
    auto caughtUp = said(next, "caught up", writes->epoch());
    auto serving = said(next, "serving", writes->epoch());
    if (!elected || !caughtUp || !serving) return;
    if (detected) gaps.detected.push_back(*detected - killedAt);
    gaps.elected.push_back(*elected - detected.value_or(killedAt));
    gaps.caughtUp.push_back(*caughtUp - *elected);
    gaps.firstCommit.push_back(*serving - *caughtUp);
    gaps.firstAnswer.push_back(static_cast<double>(writes->epochSeen().unixMs) - *serving);
  }

  support::ZkServers zookeeper;
  support::CoordinatorProcesses processes;
  EventLoop loop;
  SystemClock clock;
  kj::Own<Transport> transport;
  kj::Own<WriteStream> writes;
};

void note(Report& report, const std::string& prefix, const Gaps& gaps) {
  report.figure(prefix + "kills", static_cast<double>(gaps.total.size()));
  report.figure(prefix + "min_ms", percentile(gaps.total, 1e-9));
  report.figure(prefix + "p50_ms", percentile(gaps.total, 0.5));
  report.figure(prefix + "p99_ms", percentile(gaps.total, 0.99));
}

void noteMedian(Report& report, const std::string& field, const std::vector<double>& values) {
  if (!values.empty()) report.figure(field, percentile(values, 0.5));
}

Gaps measure(size_t servers, size_t kills, bool guesses) {
  setenv("MUSTER_FAILOVER_GUESS", guesses ? "on" : "off", 1);
  std::fprintf(stderr, "%zu ZooKeeper servers, guesses %s\n", servers, guesses ? "on" : "off");
  return Cluster(servers).measure(kills, guesses);
}

int run() {
  const char* asked = std::getenv("MUSTER_BENCH_KILLS");
  size_t kills = asked == nullptr ? 20 : static_cast<size_t>(std::max(1, std::atoi(asked)));
  Report report("failover-crash");
  report.budget("p50_ms", "<= 25").budget("p99_ms", "<= 150");
  Gaps three = measure(3, kills, true);
  note(report, "", three);
  noteMedian(report, "parts.detected_ms", three.detected);
  noteMedian(report, "parts.elected_ms", three.elected);
  noteMedian(report, "parts.caught_up_ms", three.caughtUp);
  noteMedian(report, "parts.first_commit_ms", three.firstCommit);
  noteMedian(report, "parts.first_answer_ms", three.firstAnswer);
  note(report, "one_server.", measure(1, kills, true));
  return report.print();
}

}  // namespace
}  // namespace muster::bench

int main() { return muster::bench::run(); }

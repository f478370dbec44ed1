// What clients notice of a planned change of leaders: eight of them use the client library, each
// changing something a hundred times a second, while the leader is told to go, by SIGTERM and by
// step-down in turn. The gap of a hand-over is the longest that any call of any client took from
// before it until all clients have been answered twice by the next leader. The load runs for --warm
// seconds before the first: ZooKeeper's virtual machines compile what they do often, on both cores.
//
// `parts.elected_ms`: from the signal or the call until the next leader has the epoch, the old
// one's last answers included. Nobody has to detect anything, so there is no `detected_ms`.
//
// Usage: handover [--handovers 200] [--warm 40]
#include "base/co.h"
#include "bench/disk_probe.h"
#include "bench/failover_cluster.h"
#include "bench/options.h"
#include "cli/cluster_client.h"

#include <kj/debug.h>

#include <csignal>
#include <cstdio>

namespace muster::bench {
namespace {

constexpr size_t CLIENTS = 8;
constexpr Duration PACE = 10_ms;
constexpr uint64_t ANSWERS_AFTERWARDS = 2;

class LoadClient {
 public:
  LoadClient(FailoverCluster& cluster, EventLoop& loop, std::string name)
      : cluster_(cluster),
        loop_(loop),
        name_(std::move(name)),
        client_(cluster.transport(), loop.timer(), random_,
                {.coordinators = cluster.addresses(), .timeout = 10_s}),
        running_(run().asPromise().eagerlyEvaluate([](kj::Exception&& exception) {
          std::fprintf(stderr, "a client ended: %s\n", exception.getDescription().cStr());
          std::abort();
        })) {}
  KJ_DISALLOW_COPY(LoadClient);

  void forget() {
    longest_ = Duration{};
    answeredBy_ = 0;
  }
  Duration longest() const { return longest_; }
  uint64_t calls() const { return calls_; }
  uint64_t failed() const { return failed_; }
  // Answers of a higher epoch than `epoch` since forget().
  bool isWith(uint64_t epoch) {
    if (epochSeen_ <= epoch) return false;
    return answeredBy_ >= ANSWERS_AFTERWARDS;
  }

 private:
  Co<void> run() {
    for (;;) {
      SteadyTime begin = cluster_.clock().steadyNow();
      auto call = nextCall();
      auto answer = co_await client_.call(kj::mv(call));
      longest_ = std::max(longest_, cluster_.clock().steadyNow() - begin);
      note(answer);
      Duration left = begin + PACE - cluster_.clock().steadyNow();
      if (left > Duration{}) co_await loop_.timer().afterDelay(toKj(left));
    }
  }
  cli::ClusterCall nextCall() {
    return cli::cordonCall({.node = "gpu01", .reason = name_ + " " + std::to_string(calls_++)});
  }
  void note(const Result<cli::Answer>& answer) {
    if (!answer) {
      failed_++;
      std::fprintf(stderr, "a call failed: %s\n", answer.refusal().text.c_str());
      return;
    }
    if (answer->epoch.value > epochSeen_) answeredBy_ = 0;
    epochSeen_ = answer->epoch.value;
    answeredBy_++;
  }

  FailoverCluster& cluster_;
  EventLoop& loop_;
  std::string name_;
  SystemRandom random_;
  cli::ClusterClient client_;
  Duration longest_;
  uint64_t calls_ = 0;
  uint64_t failed_ = 0;
  uint64_t epochSeen_ = 0;
  uint64_t answeredBy_ = 0;  // that epoch
  kj::Promise<void> running_;
};

class HandOvers {
 public:
  HandOvers(FailoverCluster& cluster, EventLoop& loop) : cluster_(cluster), loop_(loop) {
    for (size_t i = 0; i < CLIENTS; i++) {
      clients_.push_back(kj::heap<LoadClient>(cluster, loop, "client " + std::to_string(i)));
    }
  }

  double once(bool byEnding) {
    size_t leader = cluster_.settle();
    uint64_t epoch = cluster_.epoch();
    for (auto& client : clients_) client->forget();
    SteadyTime since = cluster_.clock().steadyNow();
    if (byEnding) {
      cluster_.processes().signal(leader, SIGTERM);
    } else {
      stepDown(leader);
    }
    cluster_.until("all clients are with the next leader", [&] {
      for (auto& client : clients_) {
        if (!client->isWith(epoch)) return false;
      }
      return cluster_.epoch() > epoch;
    });
    cluster_.noteGap(gaps_, epoch, since);
    Duration longest;
    for (auto& client : clients_) longest = std::max(longest, client->longest());
    if (byEnding) restart(leader);
    return static_cast<double>(longest.nanos) / 1e6;
  }

  // Of a client that writes each millisecond over one connection, without the client library.
  const Gaps& gaps() const { return gaps_; }
  // From `since` on, and how long one part took after the other.
  std::string lastParts() const {
    auto last = [](const std::vector<double>& all) { return all.empty() ? 0 : all.back(); };
    char text[160];
    std::snprintf(text, sizeof text,
                  "elected after %.1f, caught up %.1f, first commit %.1f, first answer %.1f ms",
                  last(gaps_.elected), last(gaps_.caughtUp), last(gaps_.firstCommit),
                  last(gaps_.firstAnswer));
    return text;
  }

  uint64_t calls() const {
    uint64_t calls = 0;
    for (const auto& client : clients_) calls += client->calls();
    return calls;
  }
  uint64_t failed() const {
    uint64_t failed = 0;
    for (const auto& client : clients_) failed += client->failed();
    return failed;
  }

 private:
  void stepDown(size_t leader) {
    auto connection = connectRpc(cluster_.transport(), loop_.timer(),
                                 cluster_.processes().address(leader), Role::COORDINATOR)
                          .wait(loop_.waitScope());
    auto api = connection->bootstrap<schema::Gate>().apiRequest().send().getApi();
    auto answer = api.stepDownRequest().send().wait(loop_.waitScope());
    auto outcome = answer.getOutcome();
    KJ_REQUIRE(!outcome.isRefusal(), "the leader did not step down",
               outcome.getRefusal().getText());
  }
  void restart(size_t member) {
    auto pid = cluster_.processes().pid(member);
    cluster_.until("it has ended", [&] { return support::hasEnded(pid); });
    cluster_.processes().terminate(member);
    cluster_.start(member);
  }

  FailoverCluster& cluster_;
  EventLoop& loop_;
  std::vector<kj::Own<LoadClient>> clients_;
  Gaps gaps_;
};

void noteHalf(Report& report, const std::string& name, const std::vector<double>& gaps) {
  if (gaps.empty()) return;
  report.figure(name + "_p50_ms", percentile(gaps, 0.5));
  report.figure(name + "_p99_ms", percentile(gaps, 0.99));
}

int run(const Options& options) {
  support::ZkServers zookeeper(3, support::likeProduction());
  EventLoop loop;
  FailoverCluster cluster(loop, [&](size_t) { return zookeeper.addresses(); });
  HandOvers handOvers(cluster, loop);
  cluster.wait(1_s * static_cast<int64_t>(options.count("warm")));
  DiskProbe disk;
  std::vector<double> gaps;
  std::vector<double> byEnding;
  std::vector<double> byStepDown;
  for (size_t i = 0; i < options.count("handovers"); i++) {
    bool ends = i % 2 == 0;
    gaps.push_back(handOvers.once(ends));
    (ends ? byEnding : byStepDown).push_back(gaps.back());
    std::fprintf(stderr, "hand-over %zu: %.1f ms; %s\n", i + 1, gaps.back(),
                 handOvers.lastParts().c_str());
  }
  Report report("handover");
  report.budget("p99_ms", "<= 50").budget("failed_calls", "== 0");
  report.figure("handovers", static_cast<double>(gaps.size()));
  report.figure("min_ms", percentile(gaps, 1e-9));
  report.figure("p50_ms", percentile(gaps, 0.5));
  report.figure("p99_ms", percentile(gaps, 0.99));
  noteHalf(report, "sigterm", byEnding);
  noteHalf(report, "step_down", byStepDown);
  noteMedians(report, handOvers.gaps());
  report.figure("calls", static_cast<double>(handOvers.calls()));
  report.figure("failed_calls", static_cast<double>(handOvers.failed()));
  disk.note(report);
  return report.print();
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) {
  try {
    return muster::bench::run(
        muster::bench::Options(argc, argv, {{"handovers", 200}, {"warm", 40}}));
  } catch (const kj::Exception& exception) {
    std::fprintf(stderr, "handover: %s\n", exception.getDescription().cStr());
    return 1;
  }
}

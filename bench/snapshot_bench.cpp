// What a snapshot of a large state costs while it is written: the latency of single changes, 200 a
// second through the API, and of empty calls to the leader, with and without a snapshot under way.
//
// Usage: snapshot [--records 1000000] [--seconds 15] [--servers 3]
#include "base/clock.h"
#include "base/kj_time.h"
#include "base/random.h"
#include "base/rpc.h"
#include "base/tasks.h"
#include "bench/big_cluster.h"
#include "bench/options.h"
#include "bench/report.h"
#include "protocol/codec.h"

#include <kj/debug.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace muster::bench {
namespace {

constexpr Duration WRITE_EVERY = 5_ms;
constexpr Duration PING_EVERY = 1_ms;
constexpr int BATCHES_BEFORE = 1000;  // five seconds of changes

struct Latencies {
  std::vector<double> writesMs;
  std::vector<double> pingsMs;
};

// One connection to the leader; changes and calls, one of each outstanding.
class Load {
 public:
  Load(BigCluster& cluster, size_t leader)
      : loop_(cluster.loop),
        connection_(connectRpc(*cluster.transport, loop_.timer(), cluster.processes.address(leader),
                               Role::COORDINATOR)
                        .wait(loop_.waitScope())),
        gate_(connection_->bootstrap<schema::Gate>()),
        api_(gate_.apiRequest().send().getApi()),
        tasks_("load") {
    auto hello = gate_.helloRequest().send().wait(loop_.waitScope());
    clusterTime_ = hello.getInfo().getClusterTimeNs();
    tasks_.add(write());
    tasks_.add(ping());
  }

  // What is measured from now on goes there.
  void into(Latencies& latencies) { latencies_ = &latencies; }
  uint64_t refused() const { return refused_; }

 private:
  kj::Promise<void> write() {
    auto request = api_.cordonRequest();
    RequestId id{random_.guid(), {clusterTime_}};
    encode(id, request.initHeader().initRequest());
    request.setNode(BigCluster::NODE);
    request.setReason(std::to_string(++written_).c_str());
    SteadyTime sent = clock_.steadyNow();
    return request.send().then([this, sent](auto&& response) {
      if (response.getOutcome().isRefusal()) refused_++;
      Duration took = clock_.steadyNow() - sent;
      if (latencies_ != nullptr) latencies_->writesMs.push_back(msOf(took));
      return pause(WRITE_EVERY - took).then([this] { return write(); });
    });
  }
  kj::Promise<void> ping() {
    SteadyTime sent = clock_.steadyNow();
    return gate_.helloRequest().send().then([this, sent](auto&&) {
      Duration took = clock_.steadyNow() - sent;
      if (latencies_ != nullptr) latencies_->pingsMs.push_back(msOf(took));
      return pause(PING_EVERY - took).then([this] { return ping(); });
    });
  }
  kj::Promise<void> pause(Duration duration) {
    return loop_.timer().afterDelay(toKj(std::max(duration, Duration{})));
  }
  static double msOf(Duration duration) { return static_cast<double>(duration.nanos) / 1e6; }

  EventLoop& loop_;
  kj::Own<RpcConnection> connection_;
  schema::Gate::Client gate_;
  schema::ClusterApi::Client api_;
  SystemClock clock_;
  SystemRandom random_;
  Latencies* latencies_ = nullptr;
  int64_t clusterTime_ = 0;
  uint64_t written_ = 0;
  uint64_t refused_ = 0;
  Tasks tasks_;
};

bool said(BigCluster& cluster, const char* text) {
  for (size_t i = 0; i < cluster.processes.count(); i++) {
    if (cluster.processes.log(i).find(text) != std::string::npos) return true;
  }
  return false;
}

void measure(BigCluster& cluster, Load& load, Latencies& into, Duration atMost,
             const char* untilSaid) {
  SystemClock clock;
  SteadyTime start = clock.steadyNow();
  load.into(into);
  while (clock.steadyNow() - start < atMost && !said(cluster, untilSaid)) {
    cluster.loop.timer().afterDelay(100 * kj::MILLISECONDS).wait(cluster.loop.waitScope());
  }
}

int run(int argc, char** argv) {
  Options options(argc, argv, {{"records", 1'000'000}, {"seconds", 15}, {"servers", 3}});
  BigCluster cluster(options.count("servers"), options.count("records"));
  setenv("MUSTER_SNAPSHOT_BATCHES", std::to_string(BATCHES_BEFORE).c_str(), 1);
  cluster.startAll();
  Load load(cluster, cluster.leader());
  Latencies before, during, after;
  measure(cluster, load, before, 120_s, "writing a snapshot");
  SystemClock clock;
  SteadyTime started = clock.steadyNow();
  measure(cluster, load, during, 600_s, "snapshot is current");
  double took = static_cast<double>((clock.steadyNow() - started).nanos) / 1e9;
  measure(cluster, load, after, 1_s * static_cast<int64_t>(options.count("seconds")), "\n\n\n");
  KJ_REQUIRE(load.refused() == 0, "changes were refused", load.refused());
  KJ_REQUIRE(!during.writesMs.empty(), "no snapshot was written", cluster.processes.log(0).c_str());
  std::vector<double> without = before.writesMs;
  without.insert(without.end(), after.writesMs.begin(), after.writesMs.end());
  std::vector<double> pings = before.pingsMs;
  pings.insert(pings.end(), after.pingsMs.begin(), after.pingsMs.end());
  double p99 = percentile(during.writesMs, 0.99);
  double p99Without = percentile(without, 0.99);
  Report report("snapshot");
  report.budget("commit_p99_ratio", "<= 2").budget("leader_pause_ms", "<= 10");
  report.figure("records", options.number("records"));
  report.figure("snapshot_s", took);
  report.figure("commit_p50_ms", percentile(during.writesMs, 0.5));
  report.figure("commit_p50_without_ms", percentile(without, 0.5));
  report.figure("commit_p99_ms", p99);
  report.figure("commit_p99_without_ms", p99Without);
  report.figure("commit_p99_ratio", p99 / p99Without);
  report.figure("leader_pause_ms", *std::max_element(during.pingsMs.begin(), during.pingsMs.end()));
  report.figure("leader_pause_without_ms", *std::max_element(pings.begin(), pings.end()));
  report.figure("call_p99_ms", percentile(during.pingsMs, 0.99));
  report.figure("call_p99_without_ms", percentile(pings, 0.99));
  return report.print();
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) { return muster::bench::run(argc, argv); }

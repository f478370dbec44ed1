// Linearizable reads over the API: clients with a connection of their own each over mutual TLS,
// each asking for one deployment as soon as it has its answer.
//
// Usage: read [--seconds 10] [--clients 64] [--deployments 100]
#include "base/co.h"
#include "bench/cluster.h"
#include "bench/options.h"
#include "bench/report.h"

#include <kj/debug.h>

#include <cstdio>
#include <unistd.h>

namespace muster::bench {
namespace {

// Deployments without replicas: what is read is small and does not change.
std::string document(size_t i) {
  return "version: 1\nname: read-" + std::to_string(i) +
         "\nmodel: file:/models/any\ngpus: 1\nengine: {kind: process, command: [/bin/true]}\n"
         "replicas: 0\n";
}

void applyDeployments(Cluster& cluster, size_t count) {
  auto connection = cluster.connect(cluster.leader);
  for (size_t i = 0; i < count; ++i) {
    auto request = connection->api.applyRequest();
    request.setDocuments(document(i).c_str());
    request.setFileName("bench.yaml");
    encode(RequestId{cluster.random.guid(), cluster.clusterTime(*connection)},
           request.initHeader().initRequest());
    auto answer = request.send().wait(cluster.loop.waitScope());
    KJ_REQUIRE(answer.getOutcome().isJson(), "a deployment was refused");
  }
}

// One client: reads without end.
class Reader {
 public:
  Reader(Cluster& cluster, size_t number, size_t deployments, std::vector<double>& latencies,
         uint64_t& failed)
      : cluster_(cluster),
        connection_(cluster.connect(cluster.leader)),
        target_("read-" + std::to_string(number % deployments)),
        latencies_(latencies),
        failed_(failed) {}

  void start() { running_ = readOn().asPromise().eagerlyEvaluate(nullptr); }

 private:
  Co<void> readOn() {
    for (;;) {
      auto request = connection_->api.getRequest();
      request.setKind("deployments");
      request.setTarget(target_.c_str());
      request.initHeader().setLastIndex(lastIndex_);
      SteadyTime sent = cluster_.clock.steadyNow();
      auto response = co_await request.send();
      auto outcome = response.getOutcome();
      if (!outcome.isJson() || outcome.getStale()) failed_++;
      lastIndex_ = outcome.getIndex();
      latencies_.push_back(msOf(cluster_.clock.steadyNow() - sent));
    }
  }

  Cluster& cluster_;
  kj::Own<ClusterConnection> connection_;
  std::string target_;
  uint64_t lastIndex_ = 0;
  std::vector<double>& latencies_;
  uint64_t& failed_;
  kj::Promise<void> running_ = nullptr;
};

int run(const Options& options) {
  Cluster cluster;
  applyDeployments(cluster, options.count("deployments"));
  std::vector<double> latencies;
  uint64_t failed = 0;
  std::vector<kj::Own<Reader>> readers;
  for (size_t i = 0; i < options.count("clients"); ++i) {
    readers.push_back(
        kj::heap<Reader>(cluster, i, options.count("deployments"), latencies, failed));
  }
  for (auto& reader : readers) reader->start();
  cluster.loop.timer().afterDelay(1 * kj::SECONDS).wait(cluster.loop.waitScope());  // warm
  latencies.clear();
  ProcessUse before = cluster.leaderUse();
  ProcessUse clientsBefore = useOf(getpid());
  SteadyTime began = cluster.clock.steadyNow();
  cluster.loop.timer()
      .afterDelay(toKj(Duration{static_cast<int64_t>(options.number("seconds") * 1e9)}))
      .wait(cluster.loop.waitScope());
  double elapsed = secondsOf(cluster.clock.steadyNow() - began);
  Report report("read");
  report.budget("reads_per_s", ">= 20000").budget("read_p50_ms", "<= 2");
  report.budget("failed_calls", "== 0");
  report.figure("reads_per_s", static_cast<double>(latencies.size()) / elapsed);
  report.figure("read_p50_ms", percentile(latencies, 0.5));
  report.figure("read_p99_ms", percentile(latencies, 0.99));
  report.figure("failed_calls", static_cast<double>(failed));
  report.figure("leader_cores", (cluster.leaderUse().cpuSeconds - before.cpuSeconds) / elapsed);
  report.figure("clients_cores", (useOf(getpid()).cpuSeconds - clientsBefore.cpuSeconds) / elapsed);
  return report.print();
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) {
  try {
    return muster::bench::run(
        {argc, argv, {{"seconds", 10}, {"clients", 64}, {"deployments", 100}}});
  } catch (const kj::Exception& exception) {
    std::fprintf(stderr, "read: %s\n", exception.getDescription().cStr());
    return 2;
  }
}

// How fast replicas are placed: deployments are applied through the API of three coordinators, to
// which 1,000 simulated nodes with 8 devices each are attached, until every replica has its place
// in the log. One device for each replica.
//
// Usage: apply_rate [--nodes 1000] [--devices 8] [--replicas 1000]
//
// `replicas`: of a deployment. There are as many deployments as fill the cluster, applied one after
// the other without waiting for places. `placements_per_s`: from the first apply until a read of
// the newest state says that every device is busy. `leader_us`: processor time of the leader for
// one placement; `standby_us`: of each standby.
#include "bench/agent_fleet.h"
#include "bench/cluster.h"
#include "bench/cluster_watch.h"
#include "bench/options.h"
#include "bench/report.h"

#include <kj/debug.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <functional>
#include <optional>
#include <string>

namespace muster::bench {
namespace {

constexpr auto PATIENCE = 180 * kj::SECONDS;  // until all nodes are there, and until all are placed
constexpr auto LOOK_EVERY = 10 * kj::MILLISECONDS;

std::string document(size_t number, size_t replicas) {
  return "version: 1\nname: rate-" + std::to_string(number) +
         "\nmodel: file:/models/any\ngpus: 1\n"
         "engine: {kind: process, command: [/bin/true]}\nreplicas: " +
         std::to_string(replicas) + "\n";
}

class Client {
 public:
  explicit Client(Cluster& cluster) : cluster_(cluster), watch_(cluster) {}

  // Asks again under the same name when the leader is replaced meanwhile.
  void apply(const std::string& document) {
    RequestId id{cluster_.random.guid(), cluster_.clusterTime(watch_.connection())};
    auto deadline = cluster_.loop.timer().now() + PATIENCE;
    for (;;) {
      auto refused = tryApply(id, document);
      if (!refused) return;
      KJ_REQUIRE(cluster_.loop.timer().now() < deadline, "a deployment was refused",
                 refused->c_str());
      watch_.object();  // finds who leads now
    }
  }

  void awaitCluster(const char* what, const std::function<bool(const nlohmann::json&)>& isSo) {
    auto deadline = cluster_.loop.timer().now() + PATIENCE;
    for (;;) {
      auto now = watch_.object();
      if (isSo(now)) return;
      KJ_REQUIRE(cluster_.loop.timer().now() < deadline, "waited in vain", what,
                 now.dump().c_str());
      cluster_.loop.timer().afterDelay(LOOK_EVERY).wait(cluster_.loop.waitScope());
    }
  }

 private:
  // Why not; nothing when it was applied.
  std::optional<std::string> tryApply(const RequestId& id, const std::string& document) {
    auto request = watch_.connection().api.applyRequest();
    request.setDocuments(document.c_str());
    request.setFileName("bench.yaml");
    encode(id, request.initHeader().initRequest());
    auto answer = request.send().wait(cluster_.loop.waitScope());
    auto outcome = answer.getOutcome();
    if (outcome.isJson()) return {};
    return std::string(outcome.getRefusal().getText().cStr());
  }

  Cluster& cluster_;
  ClusterWatch watch_;
};

// Processor time of all coordinators, the leader first: seconds.
std::vector<double> cpuOf(const Cluster& cluster) {
  std::vector<double> seconds{cluster.leaderUse().cpuSeconds};
  for (size_t i = 0; i < cluster.processes.count(); ++i) {
    if (i != cluster.leader) seconds.push_back(useOf(cluster.processes.pid(i)).cpuSeconds);
  }
  return seconds;
}

void measure(const Options& options, Report& report) {
  size_t nodes = options.count("nodes");
  size_t devices = nodes * options.count("devices");
  size_t replicas = options.count("replicas");
  Cluster cluster;
  AgentFleet fleet(cluster.processes, ClusterName{"bench"}, nodes, options.count("devices"));
  Client client(cluster);
  client.awaitCluster("all nodes are there",
                      [&](const auto& now) { return now["nodes"]["ready"] == nodes; });

  auto before = cpuOf(cluster);
  SteadyTime began = cluster.clock.steadyNow();
  for (size_t i = 0; i < devices / replicas; ++i) client.apply(document(i, replicas));
  size_t placed = devices / replicas * replicas;
  client.awaitCluster("all are placed",
                      [&](const auto& now) { return now["gpus"]["busy"] == placed; });
  double seconds = secondsOf(cluster.clock.steadyNow() - began);
  auto after = cpuOf(cluster);

  auto placements = static_cast<double>(placed);
  report.figure("placements", placements);
  report.figure("seconds", seconds);
  report.figure("placements_per_s", placements / seconds);
  report.figure("leader_us", (after[0] - before[0]) * 1e6 / placements);
  report.figure("standby_us", (after[1] - before[1]) * 1e6 / placements);
}

int run(const Options& options) {
  size_t devices = options.count("nodes") * options.count("devices");
  size_t replicas = options.count("replicas");
  KJ_REQUIRE(replicas > 0 && replicas <= devices, "a deployment must fit the cluster", replicas,
             devices);
  Report report("apply_rate");
  report.budget("placements_per_s", ">= 10000");
  report.figure("nodes", options.number("nodes"));
  report.figure("devices", static_cast<double>(devices));
  // What was not measured because something failed counts as missed.
  KJ_IF_MAYBE (why, kj::runCatchingExceptions([&] { measure(options, report); })) {
    std::fprintf(stderr, "apply_rate: %s\n", why->getDescription().cStr());
  }
  // A submission to Slurm 22.05 with a deep queue, p99, on this kind of machine.
  report.figure("peer.slurm_submission_p99_min_ms", 2'000);
  report.figure("peer.slurm_submission_p99_max_ms", 6'000);
  return report.print();
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) {
  try {
    return muster::bench::run({argc, argv, {{"nodes", 1000}, {"devices", 8}, {"replicas", 1000}}});
  } catch (const kj::Exception& exception) {
    std::fprintf(stderr, "apply_rate: %s\n", exception.getDescription().cStr());
    return 2;
  }
}

// How fast replicas are placed: deployments are applied through the API of three coordinators, to
// which 1,000 simulated nodes with 8 devices each are attached, until every replica has its place
// in the log. One device for each replica.
//
// Usage: apply_rate [--nodes 1000] [--devices 8] [--replicas 1000] [--rounds 5]
//
// `replicas`: of a deployment. There are as many deployments as fill the cluster, applied one after
// the other without waiting for places; then all are deleted, which is a round. All rounds are
// listed. `placements_per_s`: their median, from the first apply until a read of the newest state
// says that every device is busy. `leader_us`: processor time of the leader for one placement;
// `standby_us`: of each standby.
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

std::string document(const std::string& name, size_t replicas) {
  return "version: 1\nname: " + name +
         "\nmodel: file:/models/any\ngpus: 1\n"
         "engine: {kind: process, command: [/bin/true]}\nreplicas: " +
         std::to_string(replicas) + "\n";
}

class Client {
 public:
  explicit Client(Cluster& cluster) : cluster_(cluster), watch_(cluster) {}

  void apply(const std::string& document) {
    insist([&](schema::ClusterApi::Client& api, const RequestId& id) {
      auto request = api.applyRequest();
      request.setDocuments(document.c_str());
      request.setFileName("bench.yaml");
      encode(id, request.initHeader().initRequest());
      return answerTo(request.send());
    });
  }

  void remove(const std::string& name) {
    insist([&](schema::ClusterApi::Client& api, const RequestId& id) {
      auto request = api.deleteRequest();
      request.setDeployment(name.c_str());
      encode(id, request.initHeader().initRequest());
      return answerTo(request.send());
    });
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
  using Refused = std::optional<std::string>;
  using Ask = std::function<Refused(schema::ClusterApi::Client&, const RequestId&)>;

  // Asks again under the same name when the leader is replaced meanwhile.
  void insist(const Ask& ask) {
    RequestId id{cluster_.random.guid(), cluster_.clusterTime(watch_.connection())};
    auto deadline = cluster_.loop.timer().now() + PATIENCE;
    for (;;) {
      auto refused = ask(watch_.connection().api, id);
      if (!refused) return;
      KJ_REQUIRE(cluster_.loop.timer().now() < deadline, "a change was refused", refused->c_str());
      watch_.object();  // finds who leads now
    }
  }

  template <class Results>
  Refused answerTo(capnp::RemotePromise<Results> sent) {
    auto answer = sent.wait(cluster_.loop.waitScope());
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

struct Round {
  double seconds = 0;
  double leaderUs = 0;  // for one placement
  double standbyUs = 0;
};

class Rounds {
 public:
  Rounds(Cluster& cluster, Client& client, size_t deployments, size_t replicas)
      : cluster_(cluster), client_(client), deployments_(deployments), replicas_(replicas) {}

  size_t placements() const { return deployments_ * replicas_; }

  // Fills the cluster, which is empty before and after.
  Round run() {
    std::string prefix = "rate-" + std::to_string(++count_) + "-";
    Round round = fill(prefix);
    for (size_t i = 0; i < deployments_; ++i) client_.remove(prefix + std::to_string(i));
    client_.awaitCluster("all is free again",
                         [](const auto& now) { return now["gpus"]["busy"] == 0; });
    return round;
  }

 private:
  Round fill(const std::string& prefix) {
    auto before = cpuOf(cluster_);
    SteadyTime began = cluster_.clock.steadyNow();
    for (size_t i = 0; i < deployments_; ++i) {
      client_.apply(document(prefix + std::to_string(i), replicas_));
    }
    client_.awaitCluster("all are placed",
                         [&](const auto& now) { return now["gpus"]["busy"] == placements(); });
    double seconds = secondsOf(cluster_.clock.steadyNow() - began);
    auto after = cpuOf(cluster_);
    double perPlacement = 1e6 / static_cast<double>(placements());
    return {seconds, (after[0] - before[0]) * perPlacement, (after[1] - before[1]) * perPlacement};
  }

  Cluster& cluster_;
  Client& client_;
  size_t deployments_;
  size_t replicas_;
  size_t count_ = 0;
};

void note(const Round& round, size_t placements, Report& report) {
  double rate = static_cast<double>(placements) / round.seconds;
  std::fprintf(stderr, "apply_rate: %.0f placements a second\n", rate);
  report.row(
      "all_rounds",
      {{"placements_per_s", rate}, {"leader_us", round.leaderUs}, {"standby_us", round.standbyUs}});
}

void measure(const Options& options, Report& report) {
  size_t nodes = options.count("nodes");
  size_t replicas = options.count("replicas");
  Cluster cluster;
  AgentFleet fleet(cluster.processes, ClusterName{"bench"}, nodes, options.count("devices"));
  Client client(cluster);
  client.awaitCluster("all nodes are there",
                      [&](const auto& now) { return now["nodes"]["ready"] == nodes; });
  Rounds rounds(cluster, client, nodes * options.count("devices") / replicas, replicas);
  std::vector<double> seconds, leader, standby;
  for (size_t i = 0; i < options.count("rounds"); ++i) {
    Round round = rounds.run();
    note(round, rounds.placements(), report);
    seconds.push_back(round.seconds);
    leader.push_back(round.leaderUs);
    standby.push_back(round.standbyUs);
  }
  auto placements = static_cast<double>(rounds.placements());
  report.figure("placements", placements);
  report.figure("seconds", percentile(seconds, 0.5));
  report.figure("placements_per_s", placements / percentile(seconds, 0.5));
  report.figure("leader_us", percentile(leader, 0.5));
  report.figure("standby_us", percentile(standby, 0.5));
}

int run(const Options& options) {
  size_t devices = options.count("nodes") * options.count("devices");
  size_t replicas = options.count("replicas");
  KJ_REQUIRE(options.count("rounds") > 0, "nothing would be measured");
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
    return muster::bench::run(
        {argc, argv, {{"nodes", 1000}, {"devices", 8}, {"replicas", 1000}, {"rounds", 5}}});
  } catch (const kj::Exception& exception) {
    std::fprintf(stderr, "apply_rate: %s\n", exception.getDescription().cStr());
    return 2;
  }
}

// How fast places are chosen on a cluster of 10,000 nodes with 8 devices each, on one core: as the
// leader does it, with an index that it keeps from look to look.
//
// Usage: placement [--nodes 10000] [--replicas 20000] [--scanned 50]
//
// `decisions_per_s`: replicas of one device, 100 of a deployment. `gang_members_per_s`: gangs of 8
// (tp 4, pp 2), 10 of a deployment. Both with all that a look does: what the deployment wants, the
// choice, and bringing the index up to date with what was chosen. `p99_ms`: of one choice.
// `unlike_...`: the same on a cluster of which no two nodes are alike, where the index is of no
// use. `scan_...`: planReplica(), which looks at every node and finds the words for its answer.
#include "base/clock.h"
#include "bench/options.h"
#include "bench/report.h"
#include "sharding/deployment_placer.h"
#include "sharding/placer.h"

#include <kj/debug.h>

#include <random>

namespace muster::bench {
namespace {

using namespace sharding;

constexpr uint32_t DEVICES = 8;
constexpr size_t NODES_OF_A_RACK = 40;
constexpr size_t NODES_OF_A_POOL = 2000;

struct Load {
  uint32_t tensor = 1;
  uint32_t pipeline = 1;
  uint32_t replicas = 1;  // of a deployment
  uint32_t world() const { return tensor * pipeline; }
};

DeploymentSpec deploymentOf(const Load& load, uint64_t number) {
  DeploymentSpec spec;
  spec.name = {"load-" + std::to_string(number)};
  spec.engine.kind = EngineKind::PROCESS;
  spec.engine.command = {"/usr/bin/engine"};
  spec.parallel = {load.tensor, load.pipeline};
  spec.gpus = load.world();
  spec.replicas = load.replicas;
  return spec;
}

ClusterView clusterOf(size_t nodes) {
  ClusterView view;
  for (size_t i = 0; i < nodes; ++i) {
    NodeView node;
    node.name = {"gpu" + std::to_string(100'000 + i)};
    node.rack = "rack" + std::to_string(i / NODES_OF_A_RACK);
    node.labels["pool"] = "pool" + std::to_string(i / NODES_OF_A_POOL);
    for (uint32_t k = 0; k < DEVICES; ++k) {
      node.devices.push_back({{k}, i % 3 == 0 ? "H200" : "H100", k / 4, 80_GiB, {}, {}});
    }
    view.nodes.push_back(std::move(node));
  }
  return view;
}

// Somebody else has another part of each device.
void makeUnlike(ClusterView& view) {
  std::mt19937_64 random(1);
  for (auto& node : view.nodes) {
    DeviceView& device = node.devices.front();
    device.uses.push_back(
        {{"others"}, {node.name.value}, {}, {}, Bytes{random() % (40_GiB).count}});
  }
}

struct Measured {
  double perSecond = 0;  // devices
  std::vector<double> choiceMs;
};

// Looks of the leader, of one deployment each, until `replicas` are placed.
Measured measure(PlacementIndex& index, const Load& load, size_t replicas) {
  SystemClock clock;
  Measured measured;
  SteadyTime began = clock.steadyNow();
  size_t placed = 0;
  for (uint64_t number = 0; placed < replicas; ++number) {
    DeploymentSpec spec = deploymentOf(load, number);
    std::vector<NodeView> changed;
    {
      PlacementDraft draft(index);
      DeploymentPlacer placer(spec, {}, {}, draft);
      std::set<NodeName> nodes;
      for (uint32_t i = 0; i < spec.replicas; ++i, ++placed) {
        SteadyTime asked = clock.steadyNow();
        auto chosen = placer.place({i});
        measured.choiceMs.push_back(static_cast<double>((clock.steadyNow() - asked).nanos) / 1e6);
        KJ_REQUIRE(chosen.has_value(), "the cluster is full", placed);
        for (const auto& rank : chosen->placement.ranks) nodes.insert(rank.node);
      }
      placer.finish();
      for (const auto& name : nodes) changed.push_back(*draft.find(name));
    }
    for (auto& node : changed) index.put(std::move(node));
  }
  double seconds = static_cast<double>((clock.steadyNow() - began).nanos) / 1e9;
  measured.perSecond = static_cast<double>(placed * load.world()) / seconds;
  return measured;
}

double scansPerSecond(const ClusterView& view, size_t count) {
  SystemClock clock;
  SteadyTime began = clock.steadyNow();
  for (size_t i = 0; i < count; ++i) {
    auto outcome = planReplica(deploymentOf({}, i), {}, view, {});
    KJ_REQUIRE(std::holds_alternative<PlannedReplica>(outcome), "the cluster is full");
  }
  return static_cast<double>(count) * 1e9 / static_cast<double>((clock.steadyNow() - began).nanos);
}

int run(int argc, char** argv) {
  Options options(argc, argv, {{"nodes", 10'000}, {"replicas", 20'000}, {"scanned", 50}});
  size_t replicas = options.count("replicas");
  ClusterView view = clusterOf(options.count("nodes"));
  PlacementIndex index(view);
  Measured single = measure(index, {1, 1, 100}, replicas);
  Measured small = measure(index, {1, 1, 1}, replicas / 4);
  Measured gangs = measure(index, {4, 2, 10}, replicas / 8);
  double scans = scansPerSecond(view, options.count("scanned"));
  makeUnlike(view);
  PlacementIndex unlike(view);
  Measured worst = measure(unlike, {1, 1, 100}, replicas / 20);

  std::vector<double> all = single.choiceMs;
  all.insert(all.end(), gangs.choiceMs.begin(), gangs.choiceMs.end());
  Report report("placement");
  report.budget("decisions_per_s", ">= 100000");
  report.budget("gang_members_per_s", ">= 20000");
  report.budget("p99_ms", "<= 1");
  report.figure("nodes", options.number("nodes"));
  report.figure("decisions_per_s", single.perSecond);
  report.figure("one_replica_deployments_per_s", small.perSecond);
  report.figure("gang_members_per_s", gangs.perSecond);
  report.figure("unlike_decisions_per_s", worst.perSecond);
  report.figure("scan_decisions_per_s", scans);
  report.figure("p50_ms", percentile(all, 0.5));
  report.figure("p99_ms", percentile(all, 0.99));
  report.figure("max_ms", percentile(all, 1));
  return report.print();
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) { return muster::bench::run(argc, argv); }

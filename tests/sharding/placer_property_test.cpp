// Random deployments come to and go from random clusters; what must always hold, holds.
#include "sharding/placer.h"
#include "tests/sharding/cluster_builder.h"
#include "tests/sharding/model_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace muster::sharding::placer_property_test {
namespace {

const ModelManifest& manifest() {
  static const ModelManifest MANIFEST = test::manifestOf(test::tinyConfig());
  return MANIFEST;
}

class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {
    uint64_t nodes = pick(1, 5);
    for (uint64_t i = 0; i < nodes; ++i) {
      test::NodeBuilder node("n" + std::to_string(i));
      node.rack("r" + std::to_string(random_() % 2));
      for (uint64_t k = pick(1, 4); k > 0; --k) {
        node.devices(1, Bytes{pick(100, 600) << 20}, "cpu", static_cast<uint32_t>(k % 2));
      }
      if (random_() % 8 == 0) node.closed("cordoned", "by anna");
      if (random_() % 8 == 0) node.unhealthy(0, "XID 79");
      view.nodes.push_back(node.get());
    }
  }

  DeploymentSpec randomDeployment() {
    auto spec = random_() % 4 == 0 ? test::processDeployment() : test::deployment();
    spec.name = DeploymentName{"d" + std::to_string(++count_)};
    if (random_() % 2 == 0) spec.parallel.tensor = 1u << pick(0, 2);
    if (random_() % 2 == 0) spec.parallel.pipeline = static_cast<uint32_t>(pick(1, 3));
    spec.placement.tpWithinNode = random_() % 4 == 0;
    return spec;
  }

  void take(const DeploymentSpec& spec, const PlannedReplica& replica) {
    for (const auto& rank : replica.placement.ranks) {
      device(rank).uses.push_back({spec.tenant, spec.name, {}, rank.rank, rank.memory});
    }
  }

  void removeOne() {
    for (auto& node : view.nodes) {
      for (auto& device : node.devices) {
        if (!device.uses.empty()) return remove(device.uses.front().deployment);
      }
    }
  }

  void remove(DeploymentName name) {
    for (auto& node : view.nodes) {
      for (auto& device : node.devices) {
        std::erase_if(device.uses, [&](const auto& use) { return use.deployment == name; });
      }
    }
  }

  DeviceView& device(const RankPlacement& rank) {
    for (auto& node : view.nodes) {
      if (node.name == rank.node) return node.devices.at(rank.devices.at(0).value);
    }
    KJ_FAIL_REQUIRE("placed on an unknown node", rank.node.value.c_str());
  }

  uint64_t pick(uint64_t low, uint64_t high) { return low + random_() % (high - low + 1); }

  ClusterView view;

 private:
  std::mt19937_64 random_;
  uint64_t count_ = 0;
};

void expectSound(World& world, const DeploymentSpec& spec, const PlannedReplica& replica) {
  ASSERT_EQ(replica.placement.ranks.size(), replica.plan.worldSize()) << "a gang in part";
  ASSERT_FALSE(replica.reasons.empty());
  std::set<std::pair<NodeName, DeviceIndex>> taken;
  for (const auto& rank : replica.placement.ranks) {
    ASSERT_EQ(rank.devices.size(), 1u);
    ASSERT_TRUE(taken.emplace(rank.node, rank.devices[0]).second);
    const auto& device = world.device(rank);
    ASSERT_TRUE(device.unhealthy.empty());
    Bytes promised = rank.memory;
    for (const auto& use : device.uses) promised += use.memory;
    ASSERT_LE(promised, device.memory) << "a device is promised twice";
    if (spec.engine.kind == EngineKind::PROCESS) {
      ASSERT_TRUE(device.uses.empty());
      ASSERT_EQ(rank.memory, device.memory);
    }
  }
  for (const auto& node : world.view.nodes) {
    for (const auto& rank : replica.placement.ranks) {
      ASSERT_TRUE(rank.node != node.name || node.closed.empty()) << "placed on a closed node";
    }
  }
}

// Every node is named, and the first fix that frees devices really lets the replica be placed.
void expectHonest(World& world, const DeploymentSpec& spec, const RefusedReplica& refused) {
  ASSERT_EQ(refused.nodes.size(), world.view.nodes.size());
  for (const auto& verdict : refused.nodes) ASSERT_FALSE(verdict.detail.empty());
  for (const auto& fix : refused.refusal.fixes) {
    World after = world;
    const std::string DELETE = "muster delete default/";
    const std::string UNCORDON = "muster uncordon ";
    if (fix.starts_with(DELETE)) {
      after.remove(DeploymentName{fix.substr(DELETE.size(), fix.find(" frees") - DELETE.size())});
    } else if (fix.starts_with(UNCORDON)) {
      for (auto& node : after.view.nodes) {
        if (node.name.value == fix.substr(UNCORDON.size())) node.closed.clear();
        if (node.name.value == fix.substr(UNCORDON.size())) node.closedDetail.clear();
      }
    } else {
      continue;
    }
    auto outcome = planReplica(spec, manifest(), after.view, {});
    ASSERT_TRUE(std::holds_alternative<PlannedReplica>(outcome)) << fix;
  }
}

TEST(PlacerProperty, neverPromisesADeviceTwiceNorPlacesAGangInPart) {
  uint64_t placed = 0;
  uint64_t waiting = 0;
  uint64_t never = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    World world(seed);
    for (int step = 0; step < 12; ++step) {
      SCOPED_TRACE("seed " + std::to_string(seed) + " step " + std::to_string(step));
      auto spec = world.randomDeployment();
      auto outcome = planReplica(spec, manifest(), world.view, {});
      ASSERT_EQ(outcome, planReplica(spec, manifest(), world.view, {})) << "not deterministic";
      if (auto* replica = std::get_if<PlannedReplica>(&outcome)) {
        ++placed;
        expectSound(world, spec, *replica);
        world.take(spec, *replica);
      } else {
        const auto& refused = std::get<RefusedReplica>(outcome);
        bool waits = refused.refusal.code == RefusalCode::WAITING_FOR_CAPACITY;
        ++(waits ? waiting : never);
        expectHonest(world, spec, refused);
        if (step % 3 == 0) world.removeOne();
      }
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(placed, 200u);
  EXPECT_GT(waiting, 200u);
  EXPECT_GT(never, 100u);
}

// What was said to fit never is still refused on the empty cluster, and what waits fits there.
TEST(PlacerProperty, tellsNeverFromNotNow) {
  for (uint64_t seed = 1000; seed < 1150; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed);
    ClusterView empty = world.view;
    for (auto& node : empty.nodes) {
      node.closed.clear();
      node.closedDetail.clear();
      for (auto& device : node.devices) device.unhealthy.clear();
    }
    for (int step = 0; step < 8; ++step) {
      auto spec = world.randomDeployment();
      auto outcome = planReplica(spec, manifest(), world.view, {});
      auto onEmpty = planReplica(spec, manifest(), empty, {});
      if (auto* replica = std::get_if<PlannedReplica>(&outcome)) {
        world.take(spec, *replica);
        continue;
      }
      auto code = std::get<RefusedReplica>(outcome).refusal.code;
      bool waits = code == RefusalCode::WAITING_FOR_CAPACITY;
      ASSERT_EQ(std::holds_alternative<PlannedReplica>(onEmpty), waits);
    }
  }
}

}  // namespace
}  // namespace muster::sharding::placer_property_test

// Placing by the index chooses what a look at every node chooses: on random clusters, through
// random sequences of placing, releasing, closing, losing and returning.
#include "sharding/deployment_placer.h"

#include "sharding/placer.h"
#include "tests/sharding/cluster_builder.h"
#include "tests/sharding/model_builder.h"

#include <gtest/gtest.h>

#include <random>

namespace muster::sharding::deployment_placer_test {
namespace {

const ModelManifest& manifest() {
  static const ModelManifest MANIFEST = test::manifestOf(test::tinyConfig());
  return MANIFEST;
}

// One cluster twice: as a plain view and as an index.
class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {
    for (uint64_t i = 0, nodes = pick(1, 9); i < nodes; ++i) {
      ClusterView one = test::cluster(randomNode("n" + std::to_string(i)));
      view.nodes.push_back(one.nodes.front());
      index.put(one.nodes.front());
    }
  }

  DeploymentSpec randomDeployment() {
    auto spec = one(4) ? test::processDeployment() : test::deployment();
    spec.name = DeploymentName{"d" + std::to_string(pick(1, 12))};
    if (one(2)) spec.parallel.tensor = 1u << pick(0, 2);
    if (one(2)) spec.parallel.pipeline = static_cast<uint32_t>(pick(1, 3));
    if (spec.engine.kind == EngineKind::NATIVE && one(4)) addStages(spec);
    auto& rules = spec.placement;
    rules.tpWithinNode = one(4);
    if (one(6)) rules.pool = "p1";
    if (one(6)) rules.exclude = {anyNode().name};
    if (one(10)) rules.nodes = {anyNode().name, anyNode().name};
    if (one(6)) rules.spread = one(2) ? Spread::NODE : Spread::RACK;
    if (one(10)) rules.fabric = Fabric::REQUIRED;
    if (one(8)) spec.gpu.types = {"H100"};
    if (one(8)) spec.gpu.memoryMin = 300_MiB;
    return spec;
  }

  std::vector<NodeName> nodesOf(const DeploymentSpec& spec) const {
    std::vector<NodeName> nodes;
    for (const auto& node : view.nodes) {
      if (uses(node, spec.name)) nodes.push_back(node.name);
    }
    return nodes;
  }

  void take(const DeploymentSpec& spec, const Placement& placement) {
    for (const auto& rank : placement.ranks) {
      for (auto& node : view.nodes) {
        if (node.name != rank.node) continue;
        addUse(node, rank, {spec.tenant, spec.name}, {});
        index.put(node);
      }
    }
  }

  // Something happens to a node, as the state would see it.
  void disturb() {
    NodeView& node = anyNode();
    switch (pick(0, 4)) {
      case 0:
        node.closed = "cordoned", node.closedDetail = "by anna";
        break;
      case 1:
        node.closed = node.closedDetail = "";
        break;
      case 2:
        for (auto& device : node.devices) device.uses.clear();  // lost, and back without its ranks
        break;
      case 3:
        node.devices.front().unhealthy = node.devices.front().unhealthy.empty() ? "XID 79" : "";
        break;
      default:
        std::erase_if(node.devices.back().uses, [](const auto&) { return true; });
    }
    index.put(node);
  }

  NodeView& anyNode() { return view.nodes[pick(0, view.nodes.size() - 1)]; }
  uint64_t pick(uint64_t low, uint64_t high) { return low + random_() % (high - low + 1); }
  bool one(uint64_t in) { return random_() % in == 0; }

  ClusterView view;
  PlacementIndex index;

 private:
  static bool uses(const NodeView& node, const DeploymentName& name) {
    for (const auto& device : node.devices) {
      for (const auto& use : device.uses) {
        if (use.deployment == name) return true;
      }
    }
    return false;
  }

  // Two stages of the model's four layers, sometimes each on devices of another kind.
  void addStages(DeploymentSpec& spec) {
    spec.parallel.pipeline.reset();
    auto last = static_cast<uint32_t>(pick(0, 2));
    spec.stages = {{{}, {}, LayerRange{0, last}}, {{}, {}, LayerRange{last + 1, 3}}};
    if (one(2)) spec.stages[pick(0, 1)].gpu.types = {"H100"};
    if (one(4)) spec.stages[pick(0, 1)].gpu.memoryMin = 300_MiB;
  }

  test::NodeBuilder randomNode(const std::string& name) {
    test::NodeBuilder node(name);
    node.rack(one(4) ? "" : "r" + std::to_string(pick(0, 2)));
    if (one(3)) node.label("pool", "p1");
    if (one(2)) node.label("fabric", "f" + std::to_string(pick(0, 1)));
    // Few kinds, so that groups have several nodes.
    Bytes memory = Bytes{pick(1, 3) * 200 << 20};
    uint64_t devices = pick(1, 4);
    for (uint64_t k = 0; k < devices; ++k) {
      node.devices(1, memory, one(8) ? "H100" : "cpu", static_cast<uint32_t>(k / 2));
    }
    return node;
  }

  std::mt19937_64 random_;
};

// One deployment's replicas by both ways, until neither finds a place.
uint64_t placeAll(World& world, const DeploymentSpec& spec, uint64_t replicas) {
  uint64_t placed = 0;
  std::vector<NodeName> siblings = world.one(4) ? std::vector<NodeName>() : world.nodesOf(spec);
  // The devices are taken in the draft, and in the view beside it.
  PlacementIndex base = world.index;
  PlacementDraft draft(base);
  {
    DeploymentPlacer placer(spec, manifest(), siblings, draft);
    for (uint64_t i = 0; i < replicas; ++i) {
      auto scanned = planReplica(spec, manifest(), world.view, siblings);
      auto chosen = placer.place({});
      const auto* expected = std::get_if<PlannedReplica>(&scanned);
      EXPECT_EQ(chosen.has_value(), expected != nullptr);
      if (!chosen || expected == nullptr) {
        const auto* refused = std::get_if<RefusedReplica>(&scanned);
        bool waits =
            refused != nullptr && refused->refusal.code == RefusalCode::WAITING_FOR_CAPACITY;
        EXPECT_EQ(placer.canEverFit(), waits);
        break;
      }
      EXPECT_EQ(chosen->plan, expected->plan);
      EXPECT_EQ(chosen->placement, expected->placement);
      if (testing::Test::HasFailure()) return placed;
      world.take(spec, chosen->placement);
      for (const auto& rank : chosen->placement.ranks) siblings.push_back(rank.node);
      ++placed;
    }
  }
  for (const auto& node : world.view.nodes) {
    EXPECT_EQ(*draft.find(node.name), node) << "what was placed is given back to the draft";
  }
  return placed;
}

TEST(DeploymentPlacer, choosesWhatALookAtEveryNodeChooses) {
  uint64_t placed = 0;
  uint64_t deployments = 0;
  for (uint64_t seed = 1; seed <= 250; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed);
    for (int step = 0; step < 10; ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      placed += placeAll(world, world.randomDeployment(), world.pick(1, 5));
      ++deployments;
      if (HasFailure()) return;
      world.disturb();
      if (world.one(3)) world.disturb();
    }
    ASSERT_EQ(world.index, PlacementIndex(world.view)) << "kept, and made anew, differ";
  }
  EXPECT_GT(placed, 1000u);
  EXPECT_EQ(deployments, 2500u);
}

TEST(DeploymentPlacer, seesWhatOthersTookInTheSameDraft) {
  PlacementIndex index(
      test::cluster(test::node("a").devices(1, 4_GiB), test::node("b").devices(1, 4_GiB)));
  PlacementDraft draft(index);
  auto place = [&](const std::string& name) {
    auto spec = test::processDeployment(name);
    DeploymentPlacer placer(spec, {}, {}, draft);
    auto chosen = placer.place({0});
    return chosen ? chosen->placement.ranks[0].node.value : "nowhere";
  };
  EXPECT_EQ(place("x"), "a");
  EXPECT_EQ(place("y"), "b");
  EXPECT_EQ(place("z"), "nowhere");
}

TEST(DeploymentPlacer, avoidsNodesThatTheDraftCloses) {
  PlacementIndex index(
      test::cluster(test::node("a").devices(1, 4_GiB), test::node("b").devices(1, 4_GiB)));
  PlacementDraft draft(index);
  draft.close({"a"}, "health", "not attached to the new leader yet");
  auto spec = test::processDeployment();
  DeploymentPlacer placer(spec, {}, {}, draft);
  EXPECT_EQ(placer.place({0})->placement.ranks[0].node.value, "b");
  EXPECT_FALSE(placer.place({1}).has_value());
  EXPECT_TRUE(placer.canEverFit());
}

TEST(DeploymentPlacer, placesNothingOfADeploymentThatCannotBeCut) {
  PlacementIndex index(test::cluster(test::node("a").devices(4, 4_GiB)));
  PlacementDraft draft(index);
  auto spec = test::processDeployment();
  spec.gpus = 3;
  spec.parallel.tensor = 2;
  DeploymentPlacer placer(spec, {}, {}, draft);
  EXPECT_FALSE(placer.place({0}).has_value());
  EXPECT_FALSE(placer.canEverFit());
}

}  // namespace
}  // namespace muster::sharding::deployment_placer_test

// Stages that want unlike GPUs: where they go, and what is said when they go nowhere.
#include "sharding/stage_kinds.h"

#include "sharding/explain.h"
#include "sharding/gang.h"
#include "tests/sharding/cluster_builder.h"
#include "tests/sharding/model_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <set>

namespace muster::sharding::stage_kinds_test {
namespace {

using test::cluster;
using test::node;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

GpuRequirement type(const std::string& name) { return {{name}, {}, ""}; }

// A stage for each GPU type, all of `memory` on one device; "" takes any type.
GangWish wishFor(const std::vector<std::string>& types, Bytes memory, uint32_t tensor = 1) {
  DeploymentSpec spec = test::deployment();
  GangWish wish;
  wish.tenant = spec.tenant;
  wish.deployment = spec.name;
  wish.tensor = tensor;
  for (const auto& name : types) {
    spec.stages.push_back({name.empty() ? GpuRequirement{} : type(name), {}, {}});
    wish.stageMemory.push_back(memory);
  }
  wishForStages(spec, wish);
  return wish;
}

// "h:0 a:1", by rank.
std::string seats(const ClusterView& view, const GangWish& wish,
                  TensorScope scope = TensorScope::ISLAND) {
  auto found = packGang(view, wish, scope, Occupancy::NOW);
  if (!found) return "nowhere";
  std::string text;
  for (const auto& seat : *found) {
    text += (text.empty() ? "" : " ") + seat.node->name.value + ":" +
            std::to_string(seat.device->index.value);
  }
  return text;
}

TEST(StageKinds, partsHoldTheStagesOfOneKind) {
  auto wish = wishFor({"H100", "A100", "H100"}, 1_GiB);
  EXPECT_THAT(wish.gpu.types, ElementsAre("H100", "A100"));
  auto parts = partsOf(wish);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_THAT(parts[0].stages, ElementsAre(0, 2));
  EXPECT_THAT(parts[1].stages, ElementsAre(1));
  EXPECT_EQ(parts[1].wish.gpu, type("A100"));
  EXPECT_EQ(parts[0].wish.world(), 2u);
  EXPECT_TRUE(parts[0].wish.stageGpu.empty());

  auto alike = wishFor({"H100", "H100"}, 1_GiB);
  EXPECT_EQ(alike.gpu, type("H100"));
  EXPECT_TRUE(alike.stageGpu.empty());
  EXPECT_EQ(partsOf(alike).size(), 1u);
  EXPECT_TRUE(wishFor({"H100", ""}, 1_GiB).gpu.types.empty()) << "one stage takes any";
}

TEST(StageKinds, eachStageGoesOnItsKind) {
  auto view = cluster(node("a").devices(4, 4_GiB, "A100"), node("h").devices(2, 4_GiB, "H100"));
  EXPECT_EQ(seats(view, wishFor({"H100", "A100"}, 1_GiB)), "h:0 a:0");
  EXPECT_EQ(seats(view, wishFor({"A100", "H100", "A100"}, 1_GiB)), "a:0 h:0 a:1");
  EXPECT_EQ(seats(view, wishFor({"H100", "A100"}, 1_GiB, 2)), "h:0 h:1 a:0 a:1");
  EXPECT_EQ(seats(view, wishFor({"H100", "A100"}, 1_GiB, 4)), "nowhere");
  EXPECT_EQ(seats(view, wishFor({"H100", "L40S"}, 1_GiB)), "nowhere");
}

// The stage that takes any type comes first in the pipeline, and could have the only H100.
TEST(StageKinds, aStageThatTakesAnyLeavesTheRareKindToOthers) {
  auto view = cluster(node("h").devices(1, 4_GiB, "H100"), node("x").devices(1, 4_GiB, "A100"));
  EXPECT_EQ(seats(view, wishFor({"", "H100"}, 1_GiB)), "x:0 h:0");
  EXPECT_EQ(seats(view, wishFor({"H100", ""}, 1_GiB)), "h:0 x:0");
}

TEST(StageKinds, allStagesLieInOneFabricWhereThatIsRequired) {
  auto wish = wishFor({"H100", "A100"}, 1_GiB);
  wish.rules.fabric = Fabric::REQUIRED;
  auto view = cluster(node("a").label("fabric", "x").devices(1, 4_GiB, "A100"),
                      node("b").label("fabric", "y").devices(1, 4_GiB, "A100"),
                      node("h").label("fabric", "y").devices(1, 4_GiB, "H100"));
  EXPECT_EQ(seats(view, wish), "h:0 b:0");
}

// Tries every device for every rank; ranks of a stage may lie anywhere.
bool existsByTrial(const GangWish& wish, const std::vector<const DeviceView*>& devices) {
  std::set<const DeviceView*> taken;
  std::function<bool(uint32_t)> seat = [&](uint32_t rank) {
    if (rank == wish.world()) return true;
    uint32_t stage = rank / wish.tensor;
    const auto& gpu = wish.stageGpu.empty() ? wish.gpu : wish.stageGpu[stage];
    for (const auto* device : devices) {
      bool suits = (gpu.types.empty() || gpu.types.front() == device->type) &&
                   device->memory >= wish.stageMemory[stage];
      if (!suits || !taken.insert(device).second) continue;
      if (seat(rank + 1)) return true;
      taken.erase(device);
    }
    return false;
  };
  return seat(0);
}

// Kinds apart, or one within the other: then packing is exact.
TEST(StageKinds, areSeatedWhereverTrialFindsAPlaceAndNowhereElse) {
  uint64_t placed = 0;
  const uint64_t CASES = 2000;
  for (uint64_t seed = 1; seed <= CASES; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    auto pick = [&](uint64_t low, uint64_t high) { return low + random() % (high - low + 1); };
    ClusterView view;
    for (const char* name : {"a", "b", "c"}) {
      test::NodeBuilder one(name);
      for (uint64_t k = pick(0, 2); k > 0; --k) {
        one.devices(1, Bytes{pick(1, 3)}, random() % 2 == 0 ? "H100" : "A100");
      }
      view.nodes.push_back(one.get());
    }
    std::vector<std::string> types;
    for (uint64_t k = pick(2, 3); k > 0; --k) types.emplace_back(random() % 2 ? "H100" : "A100");
    auto wish = wishFor(types, {}, static_cast<uint32_t>(pick(1, 2)));
    for (Bytes& memory : wish.stageMemory) memory = Bytes{pick(1, 3)};
    std::vector<const DeviceView*> devices;
    for (const auto& one : view.nodes) {
      for (const auto& device : one.devices) devices.push_back(&device);
    }
    auto found = packGang(view, wish, TensorScope::CLUSTER, Occupancy::NOW);
    ASSERT_EQ(found.has_value(), existsByTrial(wish, devices));
    if (!found) continue;
    ++placed;
    std::set<const DeviceView*> used;
    for (uint32_t rank = 0; rank < wish.world(); ++rank) {
      ASSERT_EQ((*found)[rank].device->type, types[rank / wish.tensor]);
      ASSERT_TRUE(used.insert((*found)[rank].device).second) << "a device has two ranks";
    }
  }
  EXPECT_GT(placed, CASES / 10);
  EXPECT_LT(placed, CASES * 9 / 10);
}

DeploymentSpec mixed() {
  auto spec = test::deployment();
  spec.stages = {{type("H100"), 1, LayerRange{0, 0}}, {type("A100"), 1, LayerRange{1, 3}}};
  return spec;
}

const ModelManifest& tiny() {
  static const ModelManifest MANIFEST = test::manifestOf(test::tinyConfig());
  return MANIFEST;
}

TEST(StageKinds, thePlanSaysThatTheCutWasGiven) {
  auto view = cluster(node("a").devices(1, 4_GiB, "A100"), node("h").devices(1, 4_GiB, "H100"));
  auto outcome = planReplica(mixed(), tiny(), view, {});
  const auto& planned = std::get<PlannedReplica>(outcome);
  EXPECT_THAT(planned.plan.stageFirstLayer, ElementsAre(0, 1));
  EXPECT_EQ(planned.placement.ranks.at(0).node.value, "h");
  EXPECT_EQ(planned.placement.ranks.at(1).node.value, "a");
  EXPECT_THAT(planned.reasons, Contains("tp 1 pp 2 on 2 devices: as asked"));
  EXPECT_THAT(planned.reasons,
              Contains("stages hold layers 0-0 and 1-3: the deployment gives the cut"));
}

TEST(StageKinds, waitsForEachKindByName) {
  auto view = cluster(node("a").devices(1, 4_GiB, "A100"),
                      node("h").devices(1, 4_GiB, "H100").use(0, "ranker", 4_GiB));
  auto outcome = planReplica(mixed(), tiny(), view, {});
  const auto& refused = std::get<RefusedReplica>(outcome);
  EXPECT_EQ(refused.refusal.code, RefusalCode::WAITING_FOR_CAPACITY);
  EXPECT_THAT(refused.refusal.text,
              AllOf(HasSubstr("1 of 2 free"), HasSubstr("1 free H100 device with"),
                    HasSubstr("and 1 free A100 device with"), HasSubstr("a fits (1 free)"),
                    HasSubstr("h busy (1 used by default/ranker)")));
  EXPECT_THAT(refused.refusal.fixes, Contains("muster delete default/ranker frees 1 device on h"));
}

TEST(StageKinds, namesTheKindThatThereIsNoneOf) {
  auto view = cluster(node("h").devices(4, 80_GiB, "H100"));
  auto outcome = planReplica(mixed(), tiny(), view, {});
  const auto& refused = std::get<RefusedReplica>(outcome);
  EXPECT_EQ(refused.refusal.code, RefusalCode::NO_MATCHING_GPU);
  EXPECT_THAT(refused.refusal.text, HasSubstr("no A100 device among h"));
  EXPECT_THAT(refused.refusal.fixes, Contains("add a node with one A100 device"));
}

// The cut fits no device, the planner's own would: that is said.
TEST(StageKinds, aCutThatDoesNotFitIsToldFromAModelThatDoesNot) {
  auto manifest = test::manifestOf(test::readConfig("llama-3.1-8b"));  // 15 GiB of weights
  auto spec = test::deployment();
  spec.stages = {{{}, 1, LayerRange{0, 0}}, {{}, 1, LayerRange{1, 31}}};
  auto view = cluster(node("w").devices(2, 10_GiB));
  auto outcome = planReplica(spec, manifest, view, {});
  const auto& refused = std::get<RefusedReplica>(outcome);
  EXPECT_EQ(refused.refusal.code, RefusalCode::MODEL_DOES_NOT_FIT);
  ASSERT_FALSE(refused.refusal.fixes.empty());
  EXPECT_EQ(refused.refusal.fixes.front(), "gpus: 2 with parallel: {tp: 2, pp: 1} and no stages");
  spec.stages[0].layers->last = 15;
  spec.stages[1].layers->first = 16;
  EXPECT_TRUE(std::holds_alternative<PlannedReplica>(planReplica(spec, manifest, view, {})));
}

TEST(StageKinds, stagesOfAnotherModelAreRefused) {
  auto spec = mixed();
  spec.stages[1].layers->last = 30;
  auto outcome = planReplica(spec, tiny(), cluster(node("w").devices(2, 4_GiB)), {});
  const auto& refused = std::get<RefusedReplica>(outcome);
  EXPECT_EQ(refused.refusal.code, RefusalCode::INVALID_VALUE);
  EXPECT_EQ(refused.refusal.text, "stages ends with layer 30, the model has 0-3");
}

}  // namespace
}  // namespace muster::sharding::stage_kinds_test

#include "sharding/placer.h"

#include "tests/sharding/cluster_builder.h"
#include "tests/sharding/model_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace muster::sharding::placer_test {
namespace {

using test::cluster;
using test::deployment;
using test::manifestOf;
using test::node;
using test::processDeployment;
using test::readConfig;
using test::tinyConfig;
using testing::ElementsAre;
using testing::HasSubstr;

const PlannedReplica& planned(const PlacementOutcome& outcome) {
  auto* refused = std::get_if<RefusedReplica>(&outcome);
  KJ_REQUIRE(refused == nullptr, refused->refusal.text.c_str());
  return std::get<PlannedReplica>(outcome);
}

const RefusedReplica& refused(const PlacementOutcome& outcome) {
  KJ_REQUIRE(std::holds_alternative<RefusedReplica>(outcome), "was placed");
  return std::get<RefusedReplica>(outcome);
}

// "w1:0 w1:1", by rank.
std::string places(const PlannedReplica& replica) {
  std::string text;
  for (const auto& rank : replica.placement.ranks) {
    if (!text.empty()) text += ' ';
    text += rank.node.value + ":" + std::to_string(rank.devices.at(0).value);
  }
  return text;
}

DeploymentSpec cut(uint32_t tensor, uint32_t pipeline) {
  auto spec = deployment();
  spec.parallel = {tensor, pipeline};
  return spec;
}

DeploymentSpec preset(EngineKind kind) {
  auto spec = cut(1, 1);
  spec.engine.kind = kind;
  return spec;
}

const ClusterView FOUR_WORKERS =
    cluster(node("w1").devices(2, 4_GiB), node("w2").devices(2, 4_GiB),
            node("w3").devices(2, 4_GiB), node("w4").devices(2, 4_GiB));
const ModelManifest TINY = manifestOf(tinyConfig());

TEST(Placer, keepsTensorGroupsOnANodeAndStagesTogether) {
  auto outcome = planReplica(cut(2, 2), TINY, FOUR_WORKERS, {});
  const auto& replica = planned(outcome);
  EXPECT_EQ(places(replica), "w1:0 w1:1 w2:0 w2:1");
  EXPECT_EQ(replica.plan.stageFirstLayer, (std::vector<uint32_t>{0, 2}));
  ASSERT_EQ(replica.plan.rankMemory.size(), 4u);
  for (uint32_t rank = 0; rank < 4; ++rank) {
    EXPECT_EQ(replica.placement.ranks[rank].rank, RankNumber{rank});
    EXPECT_EQ(replica.placement.ranks[rank].memory, replica.plan.rankMemory[rank]);
    EXPECT_GT(replica.plan.rankMemory[rank], replica.plan.rankWeights[rank]);
  }
}

TEST(Placer, putsReplicasOnDifferentNodesWhenPossible) {
  auto second = planReplica(cut(2, 2), TINY, FOUR_WORKERS, {{"w1"}, {"w2"}});
  EXPECT_EQ(places(planned(second)), "w3:0 w3:1 w4:0 w4:1");
  auto crowded = planReplica(cut(2, 1), TINY, cluster(node("w1").devices(4, 4_GiB)), {{"w1"}});
  EXPECT_EQ(places(planned(crowded)), "w1:0 w1:1");
  EXPECT_THAT(planned(crowded).reasons.back(), HasSubstr("has another replica too"));
}

struct PlaceCase {
  const char* name;
  DeploymentSpec spec;
  ClusterView view;
  const char* places;
};

DeploymentSpec with(DeploymentSpec spec, void (*change)(DeploymentSpec&)) {
  change(spec);
  return spec;
}

TEST(Placer, choosesDevices) {
  const PlaceCase CASES[] = {
      {"one rank, tightest node", cut(1, 1),
       cluster(node("a").devices(4, 4_GiB), node("b").devices(1, 4_GiB)), "b:0"},
      {"equal nodes, lower name", cut(1, 1),
       cluster(node("a").devices(1, 4_GiB), node("b").devices(1, 4_GiB)), "a:0"},
      {"an empty device before a shared one", cut(1, 1),
       cluster(node("a").devices(1, 4_GiB).use(0, "x", 1_GiB), node("b").devices(2, 4_GiB)), "b:0"},
      {"a shared device before waiting", cut(1, 1),
       cluster(node("a").devices(1, 4_GiB).use(0, "x", 1_GiB)), "a:0"},
      {"one island", cut(2, 1),
       cluster(node("a").devices(1, 4_GiB, "cpu", 0).devices(2, 4_GiB, "cpu", 1)), "a:1 a:2"},
      {"the smaller island", cut(2, 1),
       cluster(node("a").devices(4, 4_GiB, "cpu", 0).devices(2, 4_GiB, "cpu", 1)), "a:4 a:5"},
      {"two islands when none is large enough", cut(2, 1),
       cluster(node("a").devices(1, 4_GiB, "cpu", 0).devices(1, 4_GiB, "cpu", 1)), "a:0 a:1"},
      {"two nodes when none is large enough", cut(4, 1), FOUR_WORKERS, "w1:0 w1:1 w2:0 w2:1"},
      {"one node rather than two", cut(1, 4),
       cluster(node("a").devices(2, 4_GiB), node("b").devices(4, 4_GiB)), "b:0 b:1 b:2 b:3"},
      {"the same rack", cut(2, 2),
       cluster(node("a").rack("r1").devices(2, 4_GiB), node("b").rack("r2").devices(2, 4_GiB),
               node("c").rack("r1").devices(2, 4_GiB)),
       "a:0 a:1 c:0 c:1"},
      {"of the type asked for", with(cut(1, 1), [](auto& d) { d.gpu.types = {"H100"}; }),
       cluster(node("a").devices(1, 4_GiB), node("b").devices(1, 80_GiB, "H100")), "b:0"},
      {"large enough as asked", with(cut(1, 1), [](auto& d) { d.gpu.memoryMin = 8_GiB; }),
       cluster(node("a").devices(1, 4_GiB), node("b").devices(1, 8_GiB)), "b:0"},
      {"nodes asked for", with(cut(1, 1), [](auto& d) { d.placement.nodes = {{"w3"}}; }),
       FOUR_WORKERS, "w3:0"},
      {"nodes left out",
       with(cut(1, 1),
            [](auto& d) {
              d.placement.exclude = {{"w1"}, {"w2"}};
            }),
       FOUR_WORKERS, "w3:0"},
      {"in the pool", with(cut(1, 1), [](auto& d) { d.placement.pool = "p"; }),
       cluster(node("a").devices(1, 4_GiB), node("b").label("pool", "p").devices(1, 4_GiB)), "b:0"},
      {"one fabric", with(cut(2, 2), [](auto& d) { d.placement.fabric = Fabric::REQUIRED; }),
       cluster(node("a").label("fabric", "x").devices(2, 4_GiB),
               node("b").label("fabric", "y").devices(2, 4_GiB),
               node("c").label("fabric", "y").devices(2, 4_GiB)),
       "b:0 b:1 c:0 c:1"},
      {"not on a closed node", cut(1, 1),
       cluster(node("a").devices(1, 4_GiB).closed("cordoned", "by anna"),
               node("b").devices(1, 4_GiB)),
       "b:0"},
      {"not on a sick device", cut(1, 1),
       cluster(node("a").devices(2, 4_GiB).unhealthy(0, "XID 79")), "a:1"},
      {"a process takes an empty device", processDeployment(),
       cluster(node("a").devices(2, 4_GiB).use(0, "x", 1_MiB)), "a:1"},
      {"a process with three ranks", with(processDeployment(), [](auto& d) { d.gpus = 3; }),
       cluster(node("a").devices(4, 4_GiB)), "a:0 a:1 a:2"},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.name);
    auto outcome = planReplica(c.spec, TINY, c.view, {});
    auto* replica = std::get_if<PlannedReplica>(&outcome);
    ASSERT_NE(replica, nullptr) << refused(outcome).refusal.text;
    EXPECT_EQ(places(*replica), c.places);
  }
}

// The larger stage is the last one: it has the head. Stages seated in order would take the large
// device for stage 0.
TEST(Placer, findsThePlaceForUnevenStages) {
  auto manifest = manifestOf(readConfig("llama-3.2-3b"));
  auto spec = cut(1, 2);
  auto wide = planReplica(spec, manifest, cluster(node("a").devices(2, 16_GiB)), {});
  auto memory = planned(wide).plan.rankMemory;
  ASSERT_NE(memory[0], memory[1]);
  Bytes small = std::min(memory[0], memory[1]);
  Bytes large = std::max(memory[0], memory[1]);
  for (bool largeFirst : {true, false}) {
    auto view = cluster(node("a").devices(1, largeFirst ? large : small),
                        node("b").devices(1, largeFirst ? small : large));
    auto outcome = planReplica(spec, manifest, view, {});
    for (const auto& rank : planned(outcome).placement.ranks) {
      Bytes device = (rank.node.value == "a") == largeFirst ? large : small;
      EXPECT_LE(rank.memory, device);
    }
  }
}

TEST(Placer, takesWholeDevicesForAProcessWhoseModelIsUnknown) {
  ModelManifest unknown;
  unknown.configJson = R"({"architectures": ["SomethingElse"]})";
  auto spec = processDeployment();
  spec.gpus = 4;
  spec.parallel.pipeline = 2;
  auto outcome = planReplica(spec, unknown, FOUR_WORKERS, {});
  const auto& replica = planned(outcome);
  EXPECT_EQ(places(replica), "w1:0 w1:1 w2:0 w2:1");
  EXPECT_THAT(replica.plan.rankMemory, ElementsAre(4_GiB, 4_GiB, 4_GiB, 4_GiB));
  EXPECT_EQ(replica.placement.ranks[3].memory, 4_GiB);
  EXPECT_TRUE(replica.plan.stageFirstLayer.empty());
  EXPECT_TRUE(std::holds_alternative<PlannedReplica>(
      planReplica(processDeployment(), ModelManifest{}, FOUR_WORKERS, {})));
}

TEST(Placer, choosesTheFewestDevicesThatHoldTheModel) {
  auto manifest = manifestOf(readConfig("llama-3.1-8b"));  // 15 GiB of weights
  auto outcome = planReplica(deployment(), manifest,
                             cluster(node("a").devices(8, 6_GiB), node("b").devices(8, 6_GiB)), {});
  const auto& replica = planned(outcome);
  EXPECT_EQ(replica.plan.tensor, 1u);
  EXPECT_EQ(replica.plan.pipeline, 3u);
  EXPECT_THAT(replica.reasons[0], HasSubstr("memory binds on rank"));
  ASSERT_FALSE(replica.rejected.empty());
  EXPECT_EQ(replica.rejected[0].tensor, 1u);
  EXPECT_THAT(replica.rejected[0].why, HasSubstr("the largest has 6.0 GiB"));
}

TEST(Placer, prefersTensorParallelInAnIslandToStages) {
  auto spec = deployment();
  spec.gpus = 4;
  auto manifest = manifestOf(readConfig("llama-3.1-8b"));
  auto islands = cluster(node("a").devices(4, 6_GiB), node("b").devices(2, 6_GiB));
  EXPECT_EQ(planned(planReplica(spec, manifest, islands, {})).plan.tensor, 4u);
  // No island of four: two stages of two beat a group torn over two nodes.
  auto pairs = cluster(node("a").devices(2, 6_GiB), node("b").devices(2, 6_GiB));
  auto outcome = planReplica(spec, manifest, pairs, {});
  EXPECT_EQ(planned(outcome).plan.tensor, 2u);
  EXPECT_EQ(planned(outcome).rejected[0].why, "its tensor groups would lie across nodes");
}

struct RefusalCase {
  const char* name;
  DeploymentSpec spec;
  ClusterView view;
  RefusalCode code;
  const char* says;
  const char* fix;  // the first one; empty: any
};

TEST(Placer, refusesWithReasonNodesAndTheSmallestChange) {
  const auto WAITING = RefusalCode::WAITING_FOR_CAPACITY;
  const auto TOPOLOGY = RefusalCode::TOPOLOGY_UNSATISFIED;
  const auto NO_GPU = RefusalCode::NO_MATCHING_GPU;
  const auto TOO_LARGE = RefusalCode::MODEL_DOES_NOT_FIT;
  const RefusalCase CASES[] = {
      {"no nodes", cut(1, 1), {}, RefusalCode::NO_WORKER, "no node is registered", ""},
      {"busy", cut(1, 1), cluster(node("a").devices(1, 4_GiB).use(0, "x", 4_GiB)), WAITING,
       "a busy (1 used by default/x)", "muster delete default/x frees 1 device on a"},
      {"busy with itself", cut(1, 1), cluster(node("a").devices(1, 4_GiB).use(0, "chat", 1_GiB)),
       WAITING, "a busy (1 used by default/chat)", ""},
      {"short", cut(2, 1), cluster(node("a").devices(2, 4_GiB).use(0, "x", 4_GiB)), WAITING,
       "1 of 2 free; wants 2 free devices with 128.7 MiB each, in one island: a short (1 free; 1 "
       "used by "
       "default/x)",
       "muster delete default/x"},
      {"not torn apart", cut(2, 1),
       cluster(node("a").devices(2, 4_GiB).use(0, "x", 4_GiB),
               node("b").devices(2, 4_GiB).use(0, "y", 4_GiB)),
       WAITING, "b short", "muster delete default/x frees 1 device on a"},
      {"cordoned", cut(1, 1), cluster(node("a").devices(1, 4_GiB).closed("cordoned", "by anna")),
       WAITING, "a cordoned (by anna)", "muster uncordon a"},
      {"lost", cut(1, 1), cluster(node("a").devices(1, 4_GiB).closed("health", "lost")), WAITING,
       "a health (lost)", ""},
      {"sick", cut(1, 1), cluster(node("a").devices(1, 4_GiB).unhealthy(0, "XID 79")), WAITING,
       "a health (XID 79)", ""},
      {"a process wants it empty", processDeployment(),
       cluster(node("a").devices(1, 4_GiB).use(0, "x", 1_MiB)), WAITING, "a busy",
       "muster delete default/x"},
      {"wrong type", with(cut(1, 1), [](auto& d) { d.gpu.types = {"H100"}; }), FOUR_WORKERS, NO_GPU,
       "no H100 device among w1: cpu 4GiB, w2: cpu 4GiB", "gpu: {type: [cpu]}"},
      {"nothing so large", with(cut(1, 1), [](auto& d) { d.gpu.memoryMin = 8_GiB; }), FOUR_WORKERS,
       NO_GPU, "no device with at least 8GiB", "gpu: {type: [cpu], min_memory: 4GiB}"},
      {"an engine for GPUs, on CPUs", preset(EngineKind::VLLM), FOUR_WORKERS, NO_GPU,
       "engine vllm needs GPUs, and there is none among w1: cpu 4GiB, w2: cpu 4GiB",
       "engine: native computes on CPUs"},
      {"the only GPU is too small",
       with(preset(EngineKind::SGLANG), [](auto& d) { d.gpu.memoryMin = 8_GiB; }),
       cluster(node("a").devices(2, 16_GiB).devices(1, 4_GiB, "L4")), NO_GPU,
       "no device with at least 8GiB among a: L4 4GiB and cpu 16GiB",
       "gpu: {type: [L4], min_memory: 4GiB}"},
      {"no such node", with(cut(1, 1), [](auto& d) { d.placement.nodes = {{"w9"}}; }), FOUR_WORKERS,
       TOPOLOGY, "placement allows none of w1, w2, w3 and w4", "leave out placement.nodes"},
      {"tp larger than a node", with(cut(4, 1), [](auto& d) { d.placement.tpWithinNode = true; }),
       FOUR_WORKERS, TOPOLOGY, "on w1, w2, w3 and w4 would do", "leave out placement.tp_within"},
      {"no nvlink", with(cut(1, 1), [](auto& d) { d.gpu.link = "nvlink"; }), FOUR_WORKERS, TOPOLOGY,
       "would do", "leave out gpu.link"},
      {"too many ranks", cut(8, 2), FOUR_WORKERS, TOO_LARGE,
       "tp 8 pp 2 wants 16 devices of 128.4 MiB; there are 8, the largest of 4.0 GiB, on w1, w2, "
       "w3",
       "gpus: 1 with parallel: {tp: 1, pp: 1}"},
      {"too many processes", with(processDeployment(), [](auto& d) { d.gpus = 10; }), FOUR_WORKERS,
       TOO_LARGE, "wants 10 devices", ""},
      {"too long a context", with(cut(1, 1), [](auto& d) { d.model.maxContext = 4096; }),
       FOUR_WORKERS, RefusalCode::INVALID_VALUE, "the model takes 1 to 512 tokens", ""},
      {"impossible", cut(3, 1), FOUR_WORKERS, RefusalCode::PARALLEL_IMPOSSIBLE, "tp 3 does not",
       "tp one of"},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.name);
    auto outcome = planReplica(c.spec, TINY, c.view, {});
    ASSERT_TRUE(std::holds_alternative<RefusedReplica>(outcome));
    const auto& answer = refused(outcome);
    EXPECT_EQ(answer.refusal.code, c.code) << answer.refusal.text;
    EXPECT_THAT(answer.refusal.text, HasSubstr(c.says));
    if (*c.fix != '\0') {
      ASSERT_FALSE(answer.refusal.fixes.empty());
      EXPECT_THAT(answer.refusal.fixes[0], HasSubstr(c.fix));
    }
    bool isPlacement = c.code >= WAITING && c.code <= TOPOLOGY;
    EXPECT_EQ(answer.nodes.size(), isPlacement ? c.view.nodes.size() : 0);
    for (const auto& verdict : answer.nodes) {
      EXPECT_THAT(answer.refusal.text, HasSubstr(verdict.node.value));
    }
  }
}

TEST(Placer, givesAnEngineForGpusNoCpuAndOneForBothAnything) {
  auto mixed = cluster(node("a").devices(2, 4_GiB).devices(1, 4_GiB, "H100"));
  for (auto kind : {EngineKind::VLLM, EngineKind::SGLANG}) {
    EXPECT_EQ(places(planned(planReplica(preset(kind), TINY, mixed, {}))), "a:2");
  }
  for (auto kind : {EngineKind::LLAMA_CPP, EngineKind::TORCHRUN, EngineKind::PROCESS}) {
    EXPECT_EQ(places(planned(planReplica(preset(kind), TINY, FOUR_WORKERS, {}))), "w1:0");
  }
}

TEST(Placer, namesHowManyDevicesAreMissing) {
  auto manifest = manifestOf(readConfig("llama-3.1-8b"));  // 15 GiB of weights
  auto few = cluster(node("w1").devices(2, 6_GiB));
  auto outcome = planReplica(deployment(), manifest, few, {});
  const auto& answer = refused(outcome);
  EXPECT_EQ(answer.refusal.code, RefusalCode::MODEL_DOES_NOT_FIT);
  EXPECT_THAT(answer.refusal.fixes, testing::Contains("add 1 device of 6GiB (tp 1 pp 3)"));
  EXPECT_THAT(answer.refusal.fixes, testing::Contains(HasSubstr("2 devices of at least")));
}

TEST(Placer, advisesAShorterContextThatReallyFits) {
  auto manifest = manifestOf(readConfig("llama-2-7b"));  // 12.6 GiB of weights, 512 KiB per token
  auto spec = cut(1, 1);
  auto view = cluster(node("w1").devices(1, 14_GiB));
  auto outcome = planReplica(spec, manifest, view, {});
  const auto& answer = refused(outcome);
  EXPECT_EQ(answer.refusal.code, RefusalCode::MODEL_DOES_NOT_FIT);
  auto fix = std::find_if(answer.refusal.fixes.begin(), answer.refusal.fixes.end(),
                          [](const auto& f) { return f.starts_with("model.max_context: "); });
  ASSERT_NE(fix, answer.refusal.fixes.end());
  spec.model.maxContext = std::stoull(fix->substr(19));
  EXPECT_TRUE(std::holds_alternative<PlannedReplica>(planReplica(spec, manifest, view, {})));
  spec.model.maxContext = *spec.model.maxContext + 256;
  EXPECT_FALSE(std::holds_alternative<PlannedReplica>(planReplica(spec, manifest, view, {})));
}

TEST(Placer, spreadsWhenToldTo) {
  auto spec = cut(1, 1);
  spec.placement.spread = Spread::NODE;
  auto two =
      cluster(node("a").rack("r1").devices(2, 4_GiB), node("b").rack("r1").devices(2, 4_GiB));
  EXPECT_EQ(places(planned(planReplica(spec, TINY, two, {{"a"}}))), "b:0");
  spec.placement.spread = Spread::RACK;
  auto outcome = planReplica(spec, TINY, two, {{"a"}});
  EXPECT_EQ(refused(outcome).refusal.code, RefusalCode::TOPOLOGY_UNSATISFIED);
  EXPECT_EQ(refused(outcome).nodes[1].verdict, "spread");
  EXPECT_EQ(refused(outcome).refusal.fixes[0], "leave out placement.spread");
}

}  // namespace
}  // namespace muster::sharding::placer_test

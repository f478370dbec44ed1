#include "sharding/search.h"

#include "sharding/shard_map.h"
#include "tests/sharding/model_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

namespace muster::sharding::search_test {
namespace {

using test::specOf;
using test::tensorsOf;
using test::tinyConfig;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> textsOf(const std::vector<Cut>& cuts) {
  std::vector<std::string> texts;
  for (const auto& cut : cuts) texts.push_back(cutText(cut.plan));
  return texts;
}

TEST(MemoryModel, addsUpForLlama2With7B) {
  auto spec = specOf(test::readConfig("llama-2-7b"));
  ShardPlan plan{2, 2, balancedStages(32, 2), {}, {}};
  auto memory = estimateRank(spec, plan, 3, 3_GiB, 4096);
  EXPECT_EQ(memory.weights, 3_GiB);
  // 16 layers, keys and values of 16 heads of 128 in 2 bytes, 4096 tokens.
  EXPECT_EQ(memory.kvCache, Bytes{16ull * 2 * 16 * 128 * 2 * 4096});
  // 512 tokens x (2 x 4096 hidden + 2 x 5504 feed-forward) + 16 heads x 4096 scores + 32000 logits,
  // 4 bytes each.
  EXPECT_EQ(memory.activations, Bytes{(512ull * (8192 + 11008) + 16 * 4096 + 32000) * 4});
  EXPECT_EQ(memory.overhead, 128_MiB);
  EXPECT_EQ(memory.total(), memory.weights + memory.kvCache + memory.activations + memory.overhead);
}

TEST(MemoryModel, keepsOneKeyValueHeadPerRankAndStopsAtTheWindow) {
  auto spec = specOf(tinyConfig());  // 4 key/value heads of 8
  EXPECT_EQ(kvBytesPerToken(spec, 1), 2u * 4 * 8 * 2);
  EXPECT_EQ(kvBytesPerToken(spec, 4), 2u * 1 * 8 * 2);
  EXPECT_EQ(kvBytesPerToken(spec, 8), 2u * 1 * 8 * 2);
  ShardPlan plan{1, 1, {0}, {}, {}};
  auto full = estimateRank(spec, plan, 0, {}, 512);
  spec.slidingWindow = 128;
  EXPECT_EQ(estimateRank(spec, plan, 0, {}, 512).kvCache * 4, full.kvCache);
}

TEST(MemoryModel, plansForTheContextAskedFor) {
  auto spec = specOf(test::readConfig("llama-3.1-8b"));
  EXPECT_EQ(*planContext(spec, std::nullopt), 4096u);
  EXPECT_EQ(*planContext(spec, 100'000), 100'000u);
  EXPECT_EQ(*planContext(specOf(tinyConfig()), std::nullopt), 512u);
  EXPECT_THAT(planContext(spec, 131'073).refusal().text, HasSubstr("1 to 131072"));
  EXPECT_FALSE(planContext(spec, 0));
}

TEST(Search, prefersFewDevicesThenFewStages) {
  auto spec = specOf(tinyConfig());  // tp 1, 2, 4, 8; 4 layers
  auto cuts = enumerateCuts(spec, tensorsOf(spec), {{}, {}, 512, 4});
  ASSERT_TRUE(cuts) << cuts.refusal().text;
  EXPECT_THAT(textsOf(*cuts), ElementsAre("tp 1 pp 1", "tp 2 pp 1", "tp 1 pp 2", "tp 1 pp 3",
                                          "tp 4 pp 1", "tp 2 pp 2", "tp 1 pp 4"));
}

TEST(Search, honoursWhatWasAskedFor) {
  auto spec = specOf(tinyConfig());
  auto tensors = tensorsOf(spec);
  EXPECT_THAT(textsOf(*enumerateCuts(spec, tensors, {{}, 8, 512, 1})),
              ElementsAre("tp 8 pp 1", "tp 4 pp 2", "tp 2 pp 4"));
  EXPECT_THAT(textsOf(*enumerateCuts(spec, tensors, {{2, 2}, {}, 512, 1})),
              ElementsAre("tp 2 pp 2"));
  EXPECT_THAT(textsOf(*enumerateCuts(spec, tensors, {{4, {}}, {}, 512, 8})),
              ElementsAre("tp 4 pp 1", "tp 4 pp 2"));
  // Also when there are not so many devices: the planner then says how many are missing.
  EXPECT_THAT(textsOf(*enumerateCuts(spec, tensors, {{8, {}}, {}, 512, 2})),
              ElementsAre("tp 8 pp 1"));
  EXPECT_THAT(textsOf(*enumerateCuts(spec, tensors, {{{}, 3}, {}, 512, 2})),
              ElementsAre("tp 1 pp 3"));
  auto mixtral = specOf(test::readConfig("mixtral-8x7b"));
  EXPECT_THAT(textsOf(*enumerateCuts(mixtral, tensorsOf(mixtral), {{{}, {}, 4}, 8, 512, 1})),
              ElementsAre("tp 8 pp 1 ep 4", "tp 4 pp 2 ep 4"));
}

TEST(Search, refusesImpossibleCutsAndSaysWhatIsPossible) {
  auto spec = specOf(tinyConfig());
  auto tensors = tensorsOf(spec);
  struct Case {
    const char* name;
    CutRequest request;
    RefusalCode code;
    const char* says;
  };
  const auto IMPOSSIBLE = RefusalCode::PARALLEL_IMPOSSIBLE;
  const auto INVALID = RefusalCode::INVALID_VALUE;
  const Case CASES[] = {
      {"tp 3", {{3, {}}, {}, 512, 8}, IMPOSSIBLE, "tp 3 does not divide 8 attention heads"},
      {"pp 5", {{{}, 5}, {}, 512, 8}, IMPOSSIBLE, "pp 5"},
      {"ep", {{{}, {}, 2}, {}, 512, 8}, IMPOSSIBLE, "ep 2: ep 2 is for models with experts"},
      {"7 gpus", {{}, 7, 512, 8}, IMPOSSIBLE, "gpus 7"},
      {"product", {{2, 2}, 8, 512, 8}, INVALID, "tp 2 x pp 2 is 4"},
      {"multiple", {{4, {}}, 6, 512, 8}, INVALID, "not a multiple of tp 4"},
      {"zero", {{0, {}}, {}, 512, 8}, INVALID, "not 0"},
      {"overflow", {{1u << 20, 1u << 20}, {}, 512, 8}, INVALID, "not 1048576"},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.name);
    auto cuts = enumerateCuts(spec, tensors, c.request);
    ASSERT_FALSE(cuts);
    EXPECT_EQ(cuts.refusal().code, c.code);
    EXPECT_THAT(cuts.refusal().text, HasSubstr(c.says));
    if (c.code == IMPOSSIBLE) {
      EXPECT_THAT(cuts.refusal().fixes, ElementsAre("tp one of [1, 2, 4, 8], pp from 1 to 4"));
    }
  }
}

TEST(Search, weightsOfEveryCutAddUpToTheModel) {
  auto spec = specOf(test::readConfig("llama-3.1-70b"));
  auto tensors = tensorsOf(spec, 30);
  auto cuts = enumerateCuts(spec, tensors, {{}, {}, 4096, 64});
  ASSERT_TRUE(cuts);
  for (const auto& cut : *cuts) {
    Bytes sum = std::accumulate(cut.plan.rankWeights.begin(), cut.plan.rankWeights.end(), Bytes{});
    // 161 norms of 8192 elements are on every rank of a tensor group; t never exceeds the 8
    // key/value heads by more than is accounted for here.
    uint64_t extra = 161ull * 8192 * 2 * (cut.plan.tensor - 1);
    uint64_t kvCopies = std::max(1u, cut.plan.tensor / 8) - 1;
    extra += kvCopies * 80 * 2 * 1024 * 8192 * 2;
    ASSERT_EQ(sum.count, spec.parameters * 2 + extra) << cutText(cut.plan);
    ASSERT_GE(cut.largest(), cut.plan.rankMemory[0]);
  }
}

TEST(Search, leavesUnknownModelsToTheirEngine) {
  EXPECT_EQ(cutText(opaqueCut({{}, {}, 0, 8})->plan), "tp 1 pp 1");
  EXPECT_EQ(cutText(opaqueCut({{}, 3, 0, 8})->plan), "tp 3 pp 1");
  EXPECT_EQ(cutText(opaqueCut({{2, {}}, 6, 0, 8})->plan), "tp 2 pp 3");
  EXPECT_EQ(cutText(opaqueCut({{{}, 2}, 6, 0, 8})->plan), "tp 3 pp 2");
  EXPECT_EQ(cutText(opaqueCut({{3, 5}, {}, 0, 8})->plan), "tp 3 pp 5");
  EXPECT_FALSE(opaqueCut({{3, 5}, 16, 0, 8}));
}

}  // namespace
}  // namespace muster::sharding::search_test

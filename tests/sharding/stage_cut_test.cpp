#include "sharding/stage_cut.h"

#include "sharding/search.h"
#include "sharding/shard_map.h"
#include "tests/sharding/model_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::sharding::stage_cut_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Layers = std::vector<uint32_t>;

StageRequest range(uint32_t first, uint32_t last) { return {{}, {}, LayerRange{first, last}}; }
StageRequest open() { return {}; }

TEST(StageCut, takesRangesAndSharesOutWhatTheyLeave) {
  struct Case {
    const char* name;
    std::vector<StageRequest> stages;
    Layers first;
  };
  const Case CASES[] = {
      {"one stage", {range(0, 31)}, {0}},
      {"ranges", {range(0, 9), range(10, 30), range(31, 31)}, {0, 10, 31}},
      {"all open", {open(), open(), open()}, balancedStages(32, 3)},
      {"open at the end", {range(0, 9), open(), open()}, {0, 10, 21}},
      {"open at the start", {open(), open(), range(4, 31)}, {0, 2, 4}},
      {"open between", {range(0, 9), open(), range(20, 31)}, {0, 10, 20}},
      {"two gaps", {open(), range(3, 3), open(), range(30, 31)}, {0, 3, 4, 30}},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.name);
    auto first = firstLayersOf(c.stages, 32);
    ASSERT_TRUE(first) << first.refusal().text;
    EXPECT_EQ(*first, c.first);
  }
}

TEST(StageCut, refusesWhatDoesNotHoldTheModel) {
  struct Case {
    std::vector<StageRequest> stages;
    const char* says;
  };
  const Case CASES[] = {
      {{range(0, 9), range(10, 29)}, "stages ends with layer 29, the model has 0-31"},
      {{range(0, 9), range(10, 39)}, "stages ends with layer 39, the model has 0-31"},
      {{open(), range(10, 39)}, "stages ends with layer 39, the model has 0-31"},
      {{range(0, 9), range(12, 31)}, "stages[1].layers starts with layer 12, wanted: 10"},
      {{range(0, 31), open()}, "stages leaves 0 layers of the model for 1 stage"},
      {{range(0, 39), open()}, "stages leaves 0 layers of the model for 1 stage"},
      {{range(0, 30), open(), open()}, "stages leaves 1 layer of the model for 2 stages"},
      {std::vector<StageRequest>(33), "stages leaves 32 layers of the model for 33 stages"},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.says);
    auto first = firstLayersOf(c.stages, 32);
    ASSERT_FALSE(first);
    EXPECT_EQ(first.refusal().code, RefusalCode::INVALID_VALUE);
    EXPECT_THAT(first.refusal().text, HasSubstr(c.says));
  }
}

TEST(StageCut, isReadable) {
  EXPECT_EQ(layersText({0, 10, 31}, 32), "0-9, 10-30 and 31-31");
  EXPECT_EQ(layersText({0}, 32), "0-31");
}

// Each stage's memory is that of its own layers: weights and cache both.
TEST(StageCut, memoryIsThatOfTheLayersGiven) {
  auto spec = test::specOf(test::readConfig("llama-2-7b"));
  auto tensors = test::tensorsOf(spec);
  CutRequest request{{2, 2, {}}, {}, 4096, 1};
  auto even = enumerateCuts(spec, tensors, request);
  request.stages = {range(0, 7), range(8, 31)};
  auto uneven = enumerateCuts(spec, tensors, request);
  ASSERT_TRUE(even && uneven);
  ASSERT_EQ(uneven->size(), 1u);
  const Cut& cut = uneven->front();
  EXPECT_EQ(cut.plan.stageFirstLayer, (Layers{0, 8}));
  EXPECT_EQ(cut.memory[0].kvCache * 3, cut.memory[2].kvCache);
  EXPECT_EQ(cut.memory[0].kvCache * 2, even->front().memory[0].kvCache);
  EXPECT_LT(cut.stageMemory[0], even->front().stageMemory[0]);
  EXPECT_GT(cut.stageMemory[1], even->front().stageMemory[1]);
  Bytes total;
  Bytes evenTotal;
  for (Bytes weights : cut.plan.rankWeights) total += weights;
  for (Bytes weights : even->front().plan.rankWeights) evenTotal += weights;
  EXPECT_EQ(total, evenTotal) << "the same model";
}

TEST(StageCut, leavesTpToThePlanner) {
  auto spec = test::specOf(test::tinyConfig());  // tp 1, 2, 4, 8; 4 layers
  CutRequest request{{{}, 2, {}}, {}, 512, 4};
  request.stages = {range(0, 0), open()};
  auto cuts = enumerateCuts(spec, test::tensorsOf(spec), request);
  ASSERT_TRUE(cuts) << cuts.refusal().text;
  std::vector<std::string> texts;
  for (const auto& cut : *cuts) {
    texts.push_back(cutText(cut.plan));
    EXPECT_EQ(cut.plan.stageFirstLayer, (Layers{0, 1}));
  }
  EXPECT_THAT(texts, ElementsAre("tp 1 pp 2", "tp 2 pp 2"));
}

}  // namespace
}  // namespace muster::sharding::stage_cut_test

#include "sharding/shard_map.h"

#include "tests/sharding/model_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

namespace muster::sharding::shard_map_test {
namespace {

using test::specOf;
using test::tensorsOf;
using test::tinyConfig;
using testing::ElementsAre;
using testing::HasSubstr;

ShardPlan planOf(const ModelSpec& spec, uint32_t tensor, uint32_t pipeline) {
  return {tensor, pipeline, balancedStages(spec.layers, pipeline), {}, {}};
}

// What is on several ranks on purpose, told from the tensor's name alone.
uint64_t wantedCopies(const ModelSpec& spec, const ShardPlan& plan, const std::string& name) {
  auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
  if (has("norm") || has("block_sparse_moe.gate") || has("o_proj.bias") || has("down_proj.bias"))
    return plan.tensor;
  if (has("k_proj") || has("v_proj")) {
    return plan.tensor > spec.kvHeads ? plan.tensor / spec.kvHeads : 1;
  }
  if (has("embed_tokens") && spec.tiedEmbeddings && plan.pipeline > 1) return 2;
  return 1;
}

// How often each index of a dimension is covered, as counts at the borders between ranges.
void expectEvenCover(const std::vector<const Slice*>& slices, const TensorInfo& tensor,
                     uint64_t copies) {
  for (size_t dimension = 0; dimension < tensor.shape.size(); ++dimension) {
    std::map<uint64_t, int64_t> borders;
    uint64_t alongOthers = 0;
    for (const Slice* slice : slices) {
      auto [begin, end] = slice->ranges[dimension];
      ASSERT_LT(begin, end);
      ASSERT_LE(end, tensor.shape[dimension]);
      if (end - begin == tensor.shape[dimension]) ++alongOthers;
      borders[begin] += 1;
      borders[end] -= 1;
    }
    // Along a dimension that nobody cuts, every slice covers all.
    uint64_t wanted = alongOthers == slices.size() ? slices.size() : copies;
    int64_t depth = 0;
    for (auto& [place, change] : borders) {
      depth += change;
      bool atEnd = place == tensor.shape[dimension];
      ASSERT_EQ(depth, atEnd ? 0 : static_cast<int64_t>(wanted)) << tensor.name << " at " << place;
    }
    ASSERT_EQ(borders.begin()->first, 0u);
  }
}

void expectCover(const ModelSpec& spec, const std::vector<TensorInfo>& tensors,
                 const ShardPlan& plan) {
  auto map = cutModel(spec, tensors, plan);
  ASSERT_TRUE(map) << map.refusal().text;
  ASSERT_EQ(map->ranks.size(), plan.worldSize());
  auto table = weightTable(spec, tensors, {plan.tensor, plan.expert});
  ASSERT_TRUE(table);
  auto weights = table->ranks(plan.stageFirstLayer);
  std::map<std::string, std::vector<const Slice*>> byTensor;
  for (const auto& rank : map->ranks) {
    Bytes sum;
    for (const auto& slice : rank.slices) {
      byTensor[slice.tensor].push_back(&slice);
      ASSERT_EQ(slice.bytes, slice.rows * slice.rowBytes);
      sum += Bytes{slice.bytes};
    }
    ASSERT_EQ(sum, rank.bytes);
    ASSERT_EQ(sum, weights[rank.rank]);
  }
  ASSERT_EQ(byTensor.size(), tensors.size());
  for (const auto& tensor : tensors) {
    uint64_t copies = wantedCopies(spec, plan, tensor.name);
    uint64_t bytes = 0;
    for (const Slice* slice : byTensor[tensor.name]) bytes += slice->bytes;
    ASSERT_EQ(bytes, tensor.bytes * copies) << tensor.name;
    expectEvenCover(byTensor[tensor.name], tensor, copies);
  }
}

TEST(ShardMap, coversEachTensorOfEveryArchitectureForEveryCut) {
  for (const auto& name : test::denseConfigs()) {
    auto spec = specOf(test::readConfig(name));
    spec.layers = std::min<uint64_t>(spec.layers, 7);  // stages are tested for all numbers below
    auto tensors = tensorsOf(spec, 3);
    for (uint32_t tensor : allowedTensorSizes(spec)) {
      for (uint32_t pipeline = 1; pipeline <= spec.layers; ++pipeline) {
        SCOPED_TRACE(name + " tp " + std::to_string(tensor) + " pp " + std::to_string(pipeline));
        expectCover(spec, tensors, planOf(spec, tensor, pipeline));
        if (HasFatalFailure()) return;
      }
    }
  }
}

ModelSpec randomSpec(std::mt19937_64& random) {
  auto pick = [&](uint64_t low, uint64_t high) { return low + random() % (high - low + 1); };
  ModelSpec spec;
  spec.kvHeads = pick(1, 6);
  spec.heads = spec.kvHeads * pick(1, 4);
  spec.headSize = 2 * pick(1, 3);
  spec.hidden = pick(3, 20);
  spec.intermediate = spec.heads * pick(1, 3);
  spec.layers = pick(1, 5);
  spec.vocabulary = pick(1, 200);
  spec.tiedEmbeddings = random() % 2 == 0;
  spec.qkvBias = random() % 2 == 0;
  spec.outputBias = random() % 2 == 0;
  spec.mlpBias = random() % 2 == 0;
  spec.qkNorm = random() % 2 == 0;
  spec.experts = random() % 2 == 0 ? pick(1, 2) * pick(1, 4) : 0;
  return spec;
}

std::vector<StageCut> allowedStageCuts(const ModelSpec& spec) {
  std::vector<StageCut> cuts;
  for (uint32_t expert = 1; expert <= std::max<uint64_t>(1, spec.experts); ++expert) {
    for (uint32_t tensor : allowedTensorSizes(spec, expert)) cuts.push_back({tensor, expert});
  }
  return cuts;
}

// Bytes of a slice as they lie in the file, picked element by element through `ranges`.
std::string rowMajor(const Slice& slice, const TensorInfo& tensor, const std::string& file) {
  std::string bytes;
  uint64_t element = bytesPerElement(tensor.dtype);
  uint64_t columns = tensor.shape.size() > 1 ? tensor.shape[1] : 1;
  auto columnRange =
      tensor.shape.size() > 1 ? slice.ranges[1] : std::pair<uint64_t, uint64_t>{0, 1};
  for (uint64_t row = slice.ranges[0].first; row < slice.ranges[0].second; ++row) {
    for (uint64_t column = columnRange.first; column < columnRange.second; ++column) {
      bytes += file.substr(tensor.offset + (row * columns + column) * element, element);
    }
  }
  return bytes;
}

// The same through offset, rows, rowBytes and stride, counting each byte touched.
std::string asRead(const Slice& slice, const std::string& file, std::vector<uint32_t>& touched) {
  std::string bytes;
  for (uint64_t row = 0; row < slice.rows; ++row) {
    uint64_t at = slice.offset + row * slice.stride;
    bytes += file.substr(at, slice.rowBytes);
    for (uint64_t i = 0; i < slice.rowBytes; ++i) ++touched.at(at + i);
  }
  return bytes;
}

TEST(ShardMap, readsEachByteOfRandomModelsAsOftenAsItShould) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    auto spec = randomSpec(random);
    auto dtype = random() % 2 == 0 ? Dtype::F32 : Dtype::BF16;
    auto tensors = tensorsOf(spec, 1, dtype);
    uint64_t fileBytes = 0;
    for (const auto& tensor : tensors)
      fileBytes = std::max(fileBytes, tensor.offset + tensor.bytes);
    std::string file(fileBytes, '\0');
    for (char& byte : file) byte = static_cast<char>(random());

    for (auto cut : allowedStageCuts(spec)) {
      auto plan = planOf(spec, cut.tensor, static_cast<uint32_t>(1 + random() % spec.layers));
      plan.expert = cut.expert;
      expectCover(spec, tensors, plan);
      std::vector<uint32_t> touched(fileBytes, 0);
      auto map = cutModel(spec, tensors, plan);
      for (const auto& rank : map->ranks) {
        EXPECT_EQ(*cutRank(spec, tensors, plan, rank.rank), rank);
        for (const auto& slice : rank.slices) {
          auto tensor = std::find_if(tensors.begin(), tensors.end(),
                                     [&](const auto& t) { return t.name == slice.tensor; });
          ASSERT_EQ(asRead(slice, file, touched), rowMajor(slice, *tensor, file)) << slice.tensor;
        }
      }
      for (const auto& tensor : tensors) {
        uint64_t copies = wantedCopies(spec, plan, tensor.name);
        for (uint64_t i = 0; i < tensor.bytes; ++i) {
          ASSERT_EQ(touched[tensor.offset + i], copies) << tensor.name << " byte " << i;
        }
      }
    }
    if (HasFatalFailure()) return;
  }
}

TEST(ShardMap, givesQueriesTheirKeys) {
  // 8 heads, 4 key/value heads: at tp 8, heads 2i and 2i+1 share key/value head i.
  auto spec = specOf(tinyConfig());
  auto map = cutModel(spec, tensorsOf(spec), planOf(spec, 8, 1));
  for (const auto& rank : map->ranks) {
    for (const auto& slice : rank.slices) {
      uint64_t i = rank.tensorIndex;
      if (slice.tensor == "model.layers.0.self_attn.q_proj.weight") {
        EXPECT_THAT(slice.ranges[0], testing::Pair(i * 8, i * 8 + 8));
      } else if (slice.tensor == "model.layers.0.self_attn.k_proj.weight") {
        EXPECT_THAT(slice.ranges[0], testing::Pair(i / 2 * 8, i / 2 * 8 + 8));
      }
    }
  }
}

TEST(ShardMap, cutsAVocabularyThatDoesNotDivide) {
  auto spec = specOf(tinyConfig());  // 103 rows
  auto map = cutModel(spec, tensorsOf(spec), planOf(spec, 4, 1));
  std::vector<uint64_t> rows;
  for (const auto& rank : map->ranks) {
    for (const auto& slice : rank.slices) {
      if (slice.tensor == "lm_head.weight") rows.push_back(slice.shape[0]);
    }
  }
  EXPECT_THAT(rows, ElementsAre(26, 26, 26, 25));
}

TEST(ShardMap, putsATiedEmbeddingOnTheFirstAndTheLastStage) {
  auto spec = specOf(tinyConfig(R"("tie_word_embeddings": true)"));
  auto map = cutModel(spec, tensorsOf(spec), planOf(spec, 1, 3));
  std::vector<uint32_t> stages;
  for (const auto& rank : map->ranks) {
    for (const auto& slice : rank.slices) {
      if (slice.tensor == "model.embed_tokens.weight") stages.push_back(rank.stage);
    }
  }
  EXPECT_THAT(stages, ElementsAre(0, 2));
}

TEST(ShardMap, balancesStages) {
  EXPECT_THAT(balancedStages(61, 4), ElementsAre(0, 15, 30, 46));
  EXPECT_THAT(balancedStages(4, 4), ElementsAre(0, 1, 2, 3));
  for (uint32_t layers = 1; layers <= 130; ++layers) {
    for (uint32_t stages = 1; stages <= layers; ++stages) {
      auto first = balancedStages(layers, stages);
      ASSERT_EQ(first.size(), stages);
      ASSERT_EQ(first[0], 0u);
      first.push_back(layers);
      for (uint32_t i = 0; i < stages; ++i) {
        uint32_t length = first[i + 1] - first[i];
        ASSERT_GE(length, layers / stages);
        ASSERT_LE(length, layers / stages + 1);
      }
      ASSERT_EQ(first[stages] - first[stages - 1], layers / stages);
    }
  }
}

TEST(ShardMap, refusesPlansThatDoNotFitTheArchitecture) {
  auto spec = specOf(tinyConfig());
  auto tensors = tensorsOf(spec);
  struct Case {
    const char* name;
    ShardPlan plan;
    const char* says;
  };
  const Case CASES[] = {
      {"tp 3", {3, 1, {0}, {}, {}}, "tp 3 does not divide 8 attention heads"},
      {"tp 0", {0, 1, {0}, {}, {}}, "tp 0 is no size"},
      {"no stages", {1, 0, {}, {}, {}}, "does not cut 4 layers"},
      {"too few borders", {1, 2, {0}, {}, {}}, "does not cut 4 layers"},
      {"starts late", {1, 1, {1}, {}, {}}, "first layers [1]"},
      {"empty stage", {1, 2, {0, 0}, {}, {}}, "first layers [0, 0]"},
      {"stage beyond the end", {1, 2, {0, 4}, {}, {}}, "first layers [0, 4]"},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.name);
    auto map = cutModel(spec, tensors, c.plan);
    ASSERT_FALSE(map);
    EXPECT_EQ(map.refusal().code, RefusalCode::PARALLEL_IMPOSSIBLE);
    EXPECT_THAT(map.refusal().text, HasSubstr(c.says));
  }
  EXPECT_EQ(cutRank(spec, tensors, planOf(spec, 2, 2), 4).refusal().code,
            RefusalCode::INVALID_VALUE);
  tensors.pop_back();
  EXPECT_EQ(cutModel(spec, tensors, planOf(spec, 1, 1)).refusal().code,
            RefusalCode::MODEL_FILE_CORRUPT);
}

}  // namespace
}  // namespace muster::sharding::shard_map_test

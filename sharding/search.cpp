#include "sharding/search.h"

#include "sharding/shard_map.h"
#include "sharding/text.h"

#include <algorithm>
#include <tuple>

namespace muster::sharding {
namespace {

constexpr uint32_t SIZE_MAX_ASKED = 1u << 16;  // above any cluster; keeps products within 64 bits

std::optional<Refusal> checkRequest(const CutRequest& request) {
  auto refuse = [](std::string text) {
    return Refusal{RefusalCode::INVALID_VALUE, std::move(text)};
  };
  const auto& [tensor, pipeline] = request.parallel;
  for (const auto& size : {tensor, pipeline, request.gpus}) {
    if (size && (*size == 0 || *size > SIZE_MAX_ASKED)) {
      return refuse("gpus, tp and pp are from 1 to " + std::to_string(SIZE_MAX_ASKED) + ", not " +
                    std::to_string(*size));
    }
  }
  if (!request.gpus) return std::nullopt;
  std::string gpus = "gpus is " + std::to_string(*request.gpus);
  if (tensor && pipeline && uint64_t{*tensor} * *pipeline != *request.gpus) {
    return refuse(gpus + ", tp " + std::to_string(*tensor) + " x pp " + std::to_string(*pipeline) +
                  " is " + std::to_string(uint64_t{*tensor} * *pipeline));
  }
  for (const auto& size : {tensor, pipeline}) {
    if (size && *request.gpus % *size != 0) {
      return refuse(gpus + ", not a multiple of " + (tensor ? "tp " : "pp ") +
                    std::to_string(*size));
    }
  }
  return std::nullopt;
}

bool isWanted(const CutRequest& request, uint32_t tensor, uint32_t pipeline) {
  uint64_t world = uint64_t{tensor} * pipeline;
  if (request.parallel.tensor && *request.parallel.tensor != tensor) return false;
  if (request.parallel.pipeline && *request.parallel.pipeline != pipeline) return false;
  if (request.gpus) return world == *request.gpus;
  // What is asked for is looked at even if the cluster is too small: the answer then says by how
  // much.
  bool leastOfAsked =
      (request.parallel.tensor || tensor == 1) && (request.parallel.pipeline || pipeline == 1);
  return leastOfAsked || world <= request.worldMax;
}

Cut makeCut(const ModelSpec& spec, const WeightTable& weights, uint32_t pipeline,
            uint64_t contextTokens) {
  Cut cut;
  cut.plan.tensor = weights.tensor;
  cut.plan.pipeline = pipeline;
  cut.plan.stageFirstLayer = balancedStages(spec.layers, pipeline);
  cut.plan.rankWeights = weights.ranks(cut.plan.stageFirstLayer);
  cut.stageMemory.resize(pipeline);
  for (uint32_t rank = 0; rank < cut.plan.worldSize(); ++rank) {
    cut.memory.push_back(
        estimateRank(spec, cut.plan, rank, cut.plan.rankWeights[rank], contextTokens));
    Bytes total = cut.memory.back().total();
    cut.plan.rankMemory.push_back(total);
    Bytes& stage = cut.stageMemory[rank / cut.plan.tensor];
    stage = std::max(stage, total);
  }
  return cut;
}

Refusal nothingPossible(const ModelSpec& spec, const CutRequest& request) {
  auto sizes = allowedTensorSizes(spec);
  std::string asked;
  std::string why;
  if (request.parallel.tensor) {
    asked += " tp " + std::to_string(*request.parallel.tensor);
    why = whyNotTensorSize(spec, *request.parallel.tensor);
  }
  if (request.parallel.pipeline) asked += " pp " + std::to_string(*request.parallel.pipeline);
  if (request.gpus) asked += " gpus " + std::to_string(*request.gpus);
  if (why.empty()) why = "no such pair of tp and pp";
  Refusal refusal{RefusalCode::PARALLEL_IMPOSSIBLE,
                  spec.architecture + " cannot be cut with" + asked + ": " + why};
  refusal.fixes.push_back("tp one of " + shapeText({sizes.begin(), sizes.end()}) +
                          ", pp from 1 to " + std::to_string(spec.layers));
  return refusal;
}

}  // namespace

Bytes Cut::largest() const {
  return stageMemory.empty() ? Bytes{} : *std::max_element(stageMemory.begin(), stageMemory.end());
}

std::string cutText(const ShardPlan& plan) {
  return "tp " + std::to_string(plan.tensor) + " pp " + std::to_string(plan.pipeline);
}

Result<std::vector<Cut>> enumerateCuts(const ModelSpec& spec,
                                       const std::vector<TensorInfo>& tensors,
                                       const CutRequest& request) {
  if (auto refusal = checkRequest(request)) return *refusal;
  std::vector<Cut> cuts;
  for (uint32_t tensor : allowedTensorSizes(spec)) {
    std::optional<WeightTable> weights;
    for (uint32_t pipeline = 1; pipeline <= spec.layers; ++pipeline) {
      if (!isWanted(request, tensor, pipeline)) continue;
      if (!weights) {
        auto table = weightTable(spec, tensors, tensor);
        if (!table) return table.refusal();
        weights = std::move(*table);
      }
      cuts.push_back(makeCut(spec, *weights, pipeline, request.contextTokens));
    }
  }
  if (cuts.empty()) return nothingPossible(spec, request);
  std::stable_sort(cuts.begin(), cuts.end(), [](const Cut& a, const Cut& b) {
    return std::tuple(a.plan.worldSize(), a.plan.pipeline) <
           std::tuple(b.plan.worldSize(), b.plan.pipeline);
  });
  return cuts;
}

Result<Cut> opaqueCut(const CutRequest& request) {
  if (auto refusal = checkRequest(request)) return *refusal;
  uint32_t pipeline = request.parallel.pipeline.value_or(
      request.gpus && request.parallel.tensor ? *request.gpus / *request.parallel.tensor : 1);
  uint32_t tensor = request.parallel.tensor.value_or(request.gpus ? *request.gpus / pipeline : 1);
  if (uint64_t{tensor} * pipeline > SIZE_MAX_ASKED) {
    return Refusal{RefusalCode::INVALID_VALUE,
                   "tp x pp is above " + std::to_string(SIZE_MAX_ASKED)};
  }
  Cut cut;
  cut.plan.tensor = tensor;
  cut.plan.pipeline = pipeline;
  cut.plan.rankWeights.resize(cut.plan.worldSize());
  cut.plan.rankMemory.resize(cut.plan.worldSize());
  cut.stageMemory.resize(pipeline);
  return cut;
}

}  // namespace muster::sharding

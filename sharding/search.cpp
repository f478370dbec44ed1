#include "sharding/search.h"

#include "sharding/shard_map.h"
#include "sharding/stage_cut.h"
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
  const auto& [tensor, pipeline, expert] = request.parallel;
  for (const auto& size : {tensor, pipeline, expert, request.gpus}) {
    if (size && (*size == 0 || *size > SIZE_MAX_ASKED)) {
      return refuse("gpus, tp, pp and ep are from 1 to " + std::to_string(SIZE_MAX_ASKED) +
                    ", not " + std::to_string(*size));
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

Cut makeCut(const ModelSpec& spec, const WeightTable& weights, std::vector<uint32_t> firstLayers,
            const CutRequest& request) {
  Cut cut;
  cut.plan.tensor = weights.tensor;
  cut.plan.expert = weights.expert;
  cut.plan.format = request.format;
  cut.plan.pipeline = static_cast<uint32_t>(firstLayers.size());
  cut.plan.stageFirstLayer = std::move(firstLayers);
  cut.plan.rankWeights = weights.ranks(cut.plan.stageFirstLayer);
  cut.stageMemory.resize(cut.plan.pipeline);
  for (uint32_t rank = 0; rank < cut.plan.worldSize(); ++rank) {
    cut.memory.push_back(
        estimateRank(spec, cut.plan, rank, cut.plan.rankWeights[rank], request.contextTokens));
    Bytes total = cut.memory.back().total();
    cut.plan.rankMemory.push_back(total);
    Bytes& stage = cut.stageMemory[rank / cut.plan.tensor];
    stage = std::max(stage, total);
  }
  return cut;
}

Refusal nothingPossible(const ModelSpec& spec, const CutRequest& request) {
  const uint32_t expert = request.parallel.expert.value_or(1);
  std::string asked;
  std::string why;
  if (request.parallel.tensor) {
    asked += " tp " + std::to_string(*request.parallel.tensor);
    why = whyNotStageCut(spec, {*request.parallel.tensor, expert});
  }
  if (request.parallel.pipeline) asked += " pp " + std::to_string(*request.parallel.pipeline);
  if (request.parallel.expert) asked += " ep " + std::to_string(expert);
  if (request.gpus) asked += " gpus " + std::to_string(*request.gpus);
  auto sizes = allowedTensorSizes(spec, expert);
  if (why.empty() && sizes.empty()) why = whyNotStageCut(spec, {expert, expert});
  if (why.empty()) why = "no such pair of tp and pp";
  if (sizes.empty()) sizes = allowedTensorSizes(spec);
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
  std::string text = "tp " + std::to_string(plan.tensor) + " pp " + std::to_string(plan.pipeline);
  return plan.expert == 1 ? text : text + " ep " + std::to_string(plan.expert);
}

Result<std::vector<Cut>> enumerateCuts(const ModelSpec& spec,
                                       const std::vector<TensorInfo>& tensors,
                                       const CutRequest& request) {
  if (auto refusal = checkRequest(request)) return *refusal;
  std::vector<uint32_t> given;  // first layers, where the owner cuts
  if (!request.stages.empty()) {
    auto first = firstLayersOf(request.stages, spec.layers);
    if (!first) return first.refusal();
    given = std::move(*first);
  }
  std::vector<Cut> cuts;
  const uint32_t expert = request.parallel.expert.value_or(1);
  for (uint32_t tensor : allowedTensorSizes(spec, expert)) {
    std::optional<WeightTable> weights;
    for (uint32_t pipeline = 1; pipeline <= spec.layers; ++pipeline) {
      if (!isWanted(request, tensor, pipeline)) continue;
      if (!weights) {
        auto table = weightTable(spec, tensors, {tensor, expert});
        if (!table) return table.refusal();
        weights = std::move(*table);
      }
      auto firstLayers = given.empty() ? balancedStages(spec.layers, pipeline) : given;
      cuts.push_back(makeCut(spec, *weights, std::move(firstLayers), request));
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
  cut.plan.expert = request.parallel.expert.value_or(1);
  cut.plan.rankWeights.resize(cut.plan.worldSize());
  cut.plan.rankMemory.resize(cut.plan.worldSize());
  cut.stageMemory.resize(pipeline);
  return cut;
}

}  // namespace muster::sharding

#include "sharding/memory_model.h"

#include <algorithm>
#include <initializer_list>

namespace muster::sharding {
namespace {

// More than any device has; what a foreign config multiplies up to stops here rather than wrapping
// round to little.
constexpr uint64_t MEMORY_MAX = 1ull << 60;

uint64_t product(std::initializer_list<uint64_t> factors) {
  uint64_t value = 1;
  for (uint64_t factor : factors) {
    if (__builtin_mul_overflow(value, factor, &value) || value > MEMORY_MAX) return MEMORY_MAX;
  }
  return value;
}

constexpr uint64_t FLOAT_BYTES = 4;  // the CPU backend computes in single precision

uint64_t layersOfStage(const ModelSpec& spec, const ShardPlan& plan, uint32_t stage) {
  uint64_t end = stage + 1 == plan.pipeline ? spec.layers : plan.stageFirstLayer[stage + 1];
  return end - plan.stageFirstLayer[stage];
}

uint64_t kvHeadsOfRank(const ModelSpec& spec, uint32_t tensor) {
  return std::max<uint64_t>(1, spec.kvHeads / tensor);
}

// The widest moment of one layer for PREFILL_TOKENS tokens, plus the logits of the last stage.
Bytes activationBytes(const ModelSpec& spec, const ShardPlan& plan, bool isLastStage,
                      uint64_t contextTokens) {
  uint64_t tokens = std::min(PREFILL_TOKENS, contextTokens);
  uint64_t queries = spec.heads / plan.tensor * spec.headSize;
  uint64_t keys = kvHeadsOfRank(spec, plan.tensor) * spec.headSize;
  // Residual and normed input; then attention (query, key, value, output) or feed-forward (gate,
  // up).
  uint64_t attention = 2 * queries + 2 * keys;
  uint64_t feedForward =
      2 * (spec.intermediate / StageCut{plan.tensor, plan.expert}.ranksOfExpert());
  // An expert reads and writes rows of its own tokens, at most all.
  if (spec.experts > 0) feedForward += 2 * spec.hidden;
  uint64_t perToken = 2 * spec.hidden + std::max(attention, feedForward);
  uint64_t scores = spec.heads / plan.tensor * contextTokens;  // of one query token at a time
  uint64_t logits = isLastStage ? spec.vocabulary * SEQUENCES_MIN : 0;
  return Bytes{product({tokens * perToken + scores + logits, FLOAT_BYTES})};
}

}  // namespace

Result<uint64_t> planContext(const ModelSpec& spec, std::optional<uint64_t> maxContext) {
  if (!maxContext) return std::min(spec.positions, CONTEXT_DEFAULT);
  if (*maxContext >= 1 && *maxContext <= spec.positions) return *maxContext;
  return Refusal{RefusalCode::INVALID_VALUE, "model.max_context is " + std::to_string(*maxContext) +
                                                 ", the model takes 1 to " +
                                                 std::to_string(spec.positions) + " tokens"};
}

uint64_t kvBytesPerToken(const ModelSpec& spec, uint32_t tensor) {
  return 2 * kvHeadsOfRank(spec, tensor) * spec.headSize * bytesPerElement(spec.dtype);
}

RankMemory estimateRank(const ModelSpec& spec, const ShardPlan& plan, uint32_t rank, Bytes weights,
                        uint64_t contextTokens) {
  uint32_t stage = rank / plan.tensor;
  uint64_t cached = std::min(contextTokens, spec.slidingWindow.value_or(contextTokens));
  RankMemory memory;
  memory.weights = weights;
  memory.kvCache = Bytes{product({layersOfStage(spec, plan, stage),
                                  kvBytesPerToken(spec, plan.tensor), cached, SEQUENCES_MIN})};
  memory.activations = activationBytes(spec, plan, stage + 1 == plan.pipeline, contextTokens);
  memory.overhead = PROCESS_OVERHEAD + BUFFER_OVERHEAD;
  return memory;
}

}  // namespace muster::sharding

// How much memory of its device a rank of the native engine needs.
#pragma once

#include "base/result.h"
#include "protocol/plan.h"
#include "sharding/model_spec.h"

#include <cstdint>
#include <optional>

namespace muster::sharding {

// Tokens one sequence may have when nobody says how many.
inline constexpr uint64_t CONTEXT_DEFAULT = 4096;
// Tokens of a prompt that are computed together; longer prompts come in chunks, so this bounds the
// activations.
inline constexpr uint64_t PREFILL_TOKENS = 512;
// Sequences for which the cache must have room. More come out of what is left on the device.
inline constexpr uint64_t SEQUENCES_MIN = 1;
// What the rank's process takes beside the model: code, heap and stacks of loop, HTTP and compute
// threads.
inline constexpr Bytes PROCESS_OVERHEAD = 64_MiB;
// Four buffers of 16 MiB: two for reading slices ahead, one to send and one to receive in a
// collective.
inline constexpr Bytes BUFFER_OVERHEAD = 64_MiB;

struct RankMemory {
  Bytes weights;
  Bytes kvCache;
  Bytes activations;
  Bytes overhead;
  Bytes total() const { return weights + kvCache + activations + overhead; }
  bool operator==(const RankMemory&) const = default;
};

// Tokens to plan for: what the deployment asks, else the model's positions, at most
// CONTEXT_DEFAULT. Refuses INVALID_VALUE when more is asked than the model has positions.
Result<uint64_t> planContext(const ModelSpec& spec, std::optional<uint64_t> maxContext);

// Bytes of keys and values that one rank keeps per token on one layer. Elements are as wide as the
// model's.
uint64_t kvBytesPerToken(const ModelSpec& spec, uint32_t tensor);

// `plan`: its tensor, pipeline and stageFirstLayer are used. `weights`: what the rank loads.
RankMemory estimateRank(const ModelSpec& spec, const ShardPlan& plan, uint32_t rank, Bytes weights,
                        uint64_t contextTokens);

}  // namespace muster::sharding

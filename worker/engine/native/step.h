// One step of the engine: what is computed together, and what comes out.
#pragma once

#include "base/units.h"

#include <cstdint>
#include <vector>

namespace muster::worker {

// A block of the paged cache: the keys and values of `KvCacheShape::blockTokens` tokens of one
// sequence, in every layer of a rank. All ranks of a group use the same numbers.
using KvBlock = uint32_t;

struct KvCacheShape {
  uint32_t blocks = 0;
  uint32_t blockTokens = 16;
};

enum class WantedLogits : uint8_t { NONE, LAST, ALL };  // of which of a sequence's tokens

// A run of tokens of one sequence that the step computes: a piece of the prompt, or one new token.
struct StepSequence {
  std::vector<uint32_t> tokens;  // shape [n], n >= 1
  uint32_t firstPosition = 0;    // of tokens[0]; the positions before are in the cache
  std::vector<KvBlock> blocks;   // of positions 0 .. firstPosition + n - 1, in order
  WantedLogits wanted = WantedLogits::LAST;
};

struct Step {
  uint64_t number = 0;  // dense, from 1, in a generation
  std::vector<StepSequence> sequences;
};

struct StepResult {
  // Shape [rows][vocabulary]: the rows of the sequences in order, none, one or n of each.
  std::vector<float> logits;
};

inline constexpr Duration KEEP_ALIVE = 1_s;

// Computes steps on all ranks of a group. Called on rank 0, by the engine's thread alone; blocks
// until the logits are there. Throws CollectiveBroken when the group is broken.
class StepExecutor {
 public:
  virtual ~StepExecutor() noexcept(false) = default;
  virtual StepResult execute(const Step& step) = 0;
  // Tells the other ranks that the group lives. Whoever drives the executor calls it at least every
  // KEEP_ALIVE while there is nothing to compute: they wait for a step no longer than for any
  // other message. Throws as execute().
  virtual void keepAlive() = 0;
  virtual KvCacheShape cache() const = 0;
  virtual uint32_t vocabulary() const = 0;
  virtual uint32_t positions() const = 0;  // longest sequence, tokens
};

}  // namespace muster::worker

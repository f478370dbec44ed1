// Continuous batching: which tokens of which sequences the next step computes, and in which blocks.
// Pure; no clock, no thread. Sources: Yu et al., Orca (2022), section 4 (a step takes and lets go
// of sequences); Kwon et al., Efficient Memory Management for Large Language Model Serving with
// PagedAttention (2023), section 4 (blocks, preemption by recomputation); Agrawal et al.,
// Sarathi-Serve (2024), section 4 (prompts in pieces beside running sequences).
#pragma once

#include "base/result.h"
#include "worker/engine/native/serving/block_pool.h"
#include "worker/engine/native/serving/tokenizer.h"
#include "worker/engine/native/step.h"  // check_layers: depends: a header alone

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace muster::worker {

// In the order of arrival: a lower number came first.
using SequenceNumber = uint64_t;

struct SchedulerLimits {
  uint32_t running = 64;      // sequences that hold blocks at once
  uint32_t waiting = 256;     // beside them; more are refused
  uint32_t stepTokens = 512;  // computed in one step, over all sequences; at least `running`
};

struct PlannedStep {
  Step step;
  std::vector<SequenceNumber> rows;  // whose next token each row of logits decides, in order
};

// First come, first served: an older sequence is computed first, starts first, and takes the blocks
// of the youngest when none is free. The victim keeps its tokens, waits in its old place and is
// computed again. So the oldest gets on in every step, and whatever is admitted ends.
class Scheduler {
 public:
  // `positions`: the longest sequence that the model can compute.
  Scheduler(KvCacheShape cache, uint32_t positions, SchedulerLimits limits);

  // The longest sequence, prompt and answer together, that can ever be computed here.
  uint32_t longest() const { return longest_; }

  // `prompt`: not empty. `tokensMax`: tokens that may be appended, at least 1. Refuses TOO_LARGE
  // when both together exceed longest(), OVERLOADED when too many wait.
  Result<SequenceNumber> add(std::vector<TokenId> prompt, uint32_t tokensMax);

  // Nothing when there is nothing to compute. What it plans counts as computed.
  std::optional<PlannedStep> next();

  // The token that a row of the last step decided. The sequence goes on with it.
  void append(SequenceNumber sequence, TokenId token);
  // Ended or cancelled: its blocks are free at once. Nothing happens for one that is not there.
  void remove(SequenceNumber sequence);

  uint32_t running() const { return static_cast<uint32_t>(running_.size()); }
  uint32_t waiting() const { return static_cast<uint32_t>(waiting_.size()); }
  uint32_t blocksUsed() const { return pool_.total() - pool_.free(); }
  uint32_t blocksTotal() const { return pool_.total(); }
  uint64_t preemptions() const { return preemptions_; }

 private:
  struct Sequence {
    std::vector<TokenId> tokens;  // prompt, then what was appended
    uint32_t computed = 0;        // of them, whose keys and values are in the blocks
    std::vector<KvBlock> blocks;
    uint32_t left() const { return static_cast<uint32_t>(tokens.size()) - computed; }
  };
  using Sequences = std::map<SequenceNumber, Sequence>;  // oldest first

  void admit();
  bool reserve(Sequences::iterator sequence, uint32_t positions);
  void preemptYoungest();
  void plan(Sequences::iterator sequence, uint32_t tokens, PlannedStep& planned);
  uint32_t blocksFor(uint64_t positions) const;

  uint32_t blockTokens_;
  uint32_t longest_;
  SchedulerLimits limits_;
  BlockPool pool_;
  Sequences running_;
  Sequences waiting_;
  SequenceNumber lastNumber_ = 0;
  uint64_t lastStep_ = 0;
  uint64_t preemptions_ = 0;
};

}  // namespace muster::worker

// A model that can be foretold: each letter is followed by the next one, and "z" by the end. It
// keeps what it was given in the blocks it was told, and its second choice depends on all of that:
// who mixes up blocks, or leaves a token out, gets another one.
#pragma once

#include "tests/worker/serving/byte_tokenizer.h"
#include "worker/collective/collective.h"
#include "worker/engine/native/step.h"

#include <kj/debug.h>

#include <atomic>
#include <functional>
#include <utility>
#include <vector>

namespace muster::worker {

class ScriptedExecutor final : public StepExecutor {
 public:
  explicit ScriptedExecutor(KvCacheShape cache = {.blocks = 64, .blockTokens = 4},
                            uint32_t positions = 1000)
      : cache_(cache),
        positions_(positions),
        slots_(size_t{cache.blocks} * cache.blockTokens, NOTHING) {}

  // Called in the engine's thread before each step; may block or throw.
  std::function<void(const Step&)> beforeStep;

  StepResult execute(const Step& step) override {
    ++steps_;
    KJ_REQUIRE(step.number == steps_, "steps are numbered without a hole", step.number);
    if (beforeStep) beforeStep(step);
    StepResult result;
    for (const auto& sequence : step.sequences) {
      store(sequence);
      KJ_REQUIRE(sequence.wanted != WantedLogits::ALL);
      if (sequence.wanted == WantedLogits::LAST) answer(sequence, result.logits);
    }
    return result;
  }
  void keepAlive() override {
    ++keptAlive_;
    if (broken_) throw CollectiveBroken("rank 1 left");
  }
  KvCacheShape cache() const override { return cache_; }
  uint32_t vocabulary() const override { return ByteTokenizer::SIZE; }
  uint32_t positions() const override { return positions_; }

  uint64_t steps() const { return steps_; }
  uint64_t keptAlive() const { return keptAlive_; }
  void breakWhenIdle() { broken_ = true; }

 private:
  static constexpr uint32_t NOTHING = ~uint32_t{0};

  uint32_t& slot(const StepSequence& sequence, size_t position) {
    KvBlock block = sequence.blocks.at(position / cache_.blockTokens);
    return slots_.at(size_t{block} * cache_.blockTokens + position % cache_.blockTokens);
  }
  void store(const StepSequence& sequence) {
    for (size_t i = 0; i < sequence.tokens.size(); ++i) {
      slot(sequence, sequence.firstPosition + i) = sequence.tokens[i];
    }
  }
  void answer(const StepSequence& sequence, std::vector<float>& logits) {
    size_t row = logits.size();
    logits.resize(row + ByteTokenizer::SIZE, 0);
    uint64_t seen = 1;
    for (size_t i = 0; i < sequence.firstPosition + sequence.tokens.size(); ++i) {
      seen = seen * 31 + slot(sequence, i);
    }
    uint32_t last = sequence.tokens.back();
    uint32_t next = last >= 'a' && last < 'z' ? last + 1 : ByteTokenizer::END;
    logits[row + seen % 97] = 5;
    logits[row + next] = 20;
  }

  KvCacheShape cache_;
  uint32_t positions_;
  std::vector<uint32_t> slots_;  // the token that each place of the cache was computed from
  std::atomic<uint64_t> steps_ = 0;
  std::atomic<uint64_t> keptAlive_ = 0;
  std::atomic<bool> broken_ = false;
};

}  // namespace muster::worker

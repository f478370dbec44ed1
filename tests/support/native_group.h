// All ranks of a native engine's group in one process, each on a thread.
#pragma once

#include "tests/support/thread_collective.h"
#include "tests/support/tiny_model.h"
#include "worker/engine/native/group_executor.h"

#include <functional>
#include <string>
#include <vector>

namespace muster::testing {

struct NativeGroupTask {
  TinyModel model;
  ShardPlan plan;
  std::string instructions;  // of the CPU backend; empty: the best
  worker::KvCacheShape cache{.blocks = 32, .blockTokens = 16};
  std::function<kj::Own<worker::Backend>()> makeBackend;  // each rank's; nothing: the CPU's
};

// Runs `drive` with rank 0's executor while the other ranks follow, then ends the group.
void withGroup(const NativeGroupTask& task,
               const std::function<void(worker::StepExecutor&)>& drive);

// Logits of a whole prompt computed in one step; shape [tokens][vocabulary].
std::vector<std::vector<float>> promptLogits(const NativeGroupTask& task,
                                             const std::vector<uint32_t>& tokens);

// Blocks 'first', 'first' + 1, ... for `tokens` tokens.
std::vector<worker::KvBlock> blocksFor(uint32_t tokens, worker::KvBlock first = 0);

// A step's logits as rows.
std::vector<std::vector<float>> rowsOf(const worker::StepResult& result, uint32_t vocabulary);

}  // namespace muster::testing

#include "tests/support/native_group.h"

#include "worker/engine/native/cpu_backend.h"

#include <kj/debug.h>

namespace muster::testing {

using worker::GroupExecutor;

void withGroup(const NativeGroupTask& task,
               const std::function<void(worker::StepExecutor&)>& drive) {
  ThreadGroup group(task.plan.tensor, task.plan.pipeline);
  group.run([&](uint32_t rank) {
    auto backend =
        task.makeBackend ? task.makeBackend() : worker::makeCpuBackend(task.instructions);
    auto weights = worker::placeWeights(*backend, {task.model.spec, task.plan, {rank}},
                                        slicesOf(task.model, task.plan, rank));
    if (!weights) KJ_FAIL_REQUIRE("no weights", weights.refusal().text.c_str());
    worker::RankCollectives collectives{group.world(rank), group.tensor(rank), group.pipeline(rank),
                                        group.pipeline(rank)};
    GroupExecutor executor({*backend, *weights, collectives}, task.cache);
    if (rank != 0) return executor.followSteps();
    drive(executor);
    executor.end();
  });
}

std::vector<std::vector<float>> promptLogits(const NativeGroupTask& task,
                                             const std::vector<uint32_t>& tokens) {
  std::vector<std::vector<float>> rows;
  withGroup(task, [&](worker::StepExecutor& executor) {
    worker::Step step{.number = 1};
    step.sequences.push_back({.tokens = tokens,
                              .firstPosition = 0,
                              .blocks = blocksFor(static_cast<uint32_t>(tokens.size())),
                              .wanted = worker::WantedLogits::ALL});
    rows = rowsOf(executor.execute(step), executor.vocabulary());
  });
  return rows;
}

std::vector<worker::KvBlock> blocksFor(uint32_t tokens, worker::KvBlock first) {
  std::vector<worker::KvBlock> blocks;
  for (uint32_t begin = 0; begin < tokens; begin += 16) blocks.push_back(first++);
  return blocks;
}

std::vector<std::vector<float>> rowsOf(const worker::StepResult& result, uint32_t vocabulary) {
  std::vector<std::vector<float>> rows;
  for (auto at = result.logits.begin(); at != result.logits.end(); at += vocabulary) {
    rows.emplace_back(at, at + vocabulary);
  }
  return rows;
}

}  // namespace muster::testing

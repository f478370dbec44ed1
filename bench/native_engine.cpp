#include "bench/native_engine.h"

#include "base/clock.h"
#include "bench/benched_model.h"
#include "bench/report.h"
#include "sharding/shard_map.h"
#include "tools/make_model/llama.h"
#include "tools/make_model/weights.h"
#include "worker/collective/shm_board.h"
#include "worker/collective/shm_collective.h"
#include "worker/engine/native/cpu_backend.h"
#include "worker/engine/native/group_executor.h"

#include <kj/debug.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <exception>
#include <thread>

namespace muster::bench {
namespace {

constexpr uint64_t SEED = 42;

std::vector<TensorInfo> tensorsOf(const sharding::ModelSpec& spec) {
  std::vector<TensorInfo> tensors;
  uint64_t offset = 0;
  for (const auto& wanted : sharding::expectedTensors(spec)) {
    uint64_t bytes = bytesPerElement(spec.dtype);
    for (uint64_t length : wanted.shape) bytes *= length;
    tensors.push_back({wanted.name, spec.dtype, wanted.shape, "model", offset, bytes});
    offset += bytes;
  }
  return tensors;
}

// A slice's numbers, not those of the whole tensor: time does not depend on them.
std::vector<worker::LoadedSlice> randomSlices(const sharding::ModelSpec& spec,
                                              const ShardPlan& plan, uint32_t rank) {
  auto shard = sharding::cutRank(spec, tensorsOf(spec), plan, rank);
  if (!shard) KJ_FAIL_REQUIRE("the model cannot be cut so", shard.refusal().text.c_str());
  SeededRandom random(SEED + rank);
  std::vector<worker::LoadedSlice> loaded;
  for (auto& slice : shard->slices) {
    worker::AlignedBytes bytes(slice.bytes);
    double scale = slice.shape.size() == 1 ? 0 : 1 / std::sqrt(static_cast<double>(slice.shape[1]));
    auto dtype = spec.dtype == Dtype::F32 ? sample::Dtype::F32 : sample::Dtype::BF16;
    sample::fillNormal({bytes.data(), bytes.size()}, dtype, scale, random);
    loaded.push_back({std::move(slice), std::move(bytes), 0});
  }
  return loaded;
}

// Three communicators among all ranks of one stage, in one piece of shared memory.
class SharedGroup {
 public:
  explicit SharedGroup(uint32_t ranks) : memory_(worker::SharedMemory::make()) {
    const uint64_t board = (worker::ShmBoard::bytesFor(ranks) + 4095) / 4096 * 4096;
    memory_.grow(3 * board);
    for (uint32_t rank = 0; rank < ranks; ++rank) {
      worlds.push_back(join(rank, ranks, 0));
      tensors.push_back(join(rank, ranks, board));
    }
    alone = join(0, 1, 2 * board);
  }

  std::vector<kj::Own<worker::Collective>> worlds;
  std::vector<kj::Own<worker::Collective>> tensors;
  kj::Own<worker::Collective> alone;  // a pipeline of one stage: nobody to send to

 private:
  kj::Own<worker::Collective> join(uint32_t rank, uint32_t ranks, uint64_t offset) {
    worker::Membership group{.name = "bench", .ranks = {}, .self = rank, .deadline = 30_s};
    for (uint32_t i = 0; i < ranks; ++i) group.ranks.push_back({i});
    return worker::makeShmCollective(group, worker::ShmBoard(memory_, offset, ranks), clock_,
                                     worker::spinningFor(ranks));
  }

  SystemClock clock_;
  worker::SharedMemory memory_;
};

double secondsSince(SteadyTime start) {
  return static_cast<double>((SystemClock().steadyNow() - start).nanos) / 1e9;
}

}  // namespace

sharding::ModelSpec specOf(const sample::Llama& sizes, Dtype dtype) {
  auto spec = sharding::parseModelConfig(sample::configOf(sizes).dump());
  if (!spec) KJ_FAIL_REQUIRE("a bad config", spec.refusal().text.c_str());
  spec->dtype = dtype;
  return std::move(*spec);
}

sharding::ModelSpec benchedSpec(Dtype dtype) {
  return specOf(benchedLlama(sample::Dtype::F32), dtype);
}

double bytesPerToken(const sharding::ModelSpec& spec) {
  const uint64_t read = spec.parameters - spec.vocabulary * spec.hidden;
  return static_cast<double>(read * bytesPerElement(spec.dtype));
}

void withEngine(const sharding::ModelSpec& spec, uint32_t tensor,
                const std::function<void(worker::StepExecutor&)>& drive) {
  withEngine(
      spec, tensor, [] { return worker::makeCpuBackend(); }, drive);
}

void withEngine(const sharding::ModelSpec& spec, uint32_t tensor, const MakeBackend& makeBackend,
                const std::function<void(worker::StepExecutor&)>& drive) {
  const ShardPlan plan{.tensor = tensor, .pipeline = 1, .stageFirstLayer = {0}};
  SharedGroup group(tensor);
  auto run = [&](uint32_t rank) {
    auto backend = makeBackend();
    auto weights =
        worker::placeWeights(*backend, {spec, plan, {rank}}, randomSlices(spec, plan, rank));
    if (!weights) KJ_FAIL_REQUIRE("no weights", weights.refusal().text.c_str());
    worker::RankCollectives ends{.world = *group.worlds[rank],
                                 .tensor = *group.tensors[rank],
                                 .pipeline = *group.alone,
                                 .logits = *group.alone};
    worker::GroupExecutor executor({*backend, *weights, ends}, {.blocks = 64, .blockTokens = 16});
    if (rank != 0) return executor.followSteps();
    drive(executor);
    executor.end();
  };
  std::vector<std::thread> others;
  for (uint32_t rank = 1; rank < tensor; ++rank) others.emplace_back(run, rank);
  run(0);
  for (auto& thread : others) thread.join();
}

Rates measureRates(worker::StepExecutor& executor, uint32_t promptTokens, uint32_t newTokens) {
  std::vector<worker::KvBlock> blocks;
  for (uint32_t i = 0; i * 16 < promptTokens + newTokens; ++i) blocks.push_back(i);
  worker::StepSequence prompt{.blocks = blocks};
  for (uint32_t i = 0; i < promptTokens; ++i) prompt.tokens.push_back((i * 37 + 11) % 8192);

  Rates rates;
  SteadyTime start = SystemClock().steadyNow();
  executor.execute({1, {prompt}});
  rates.prompt = promptTokens / secondsSince(start);
  start = SystemClock().steadyNow();
  for (uint32_t i = 0; i < newTokens; ++i) {
    worker::StepSequence next{.tokens = {i}, .firstPosition = promptTokens + i, .blocks = blocks};
    executor.execute({i + 2, {next}});
  }
  rates.decode = newTokens / secondsSince(start);
  return rates;
}

Rates medianOf(const std::vector<Rates>& rates) {
  std::vector<double> prompts;
  std::vector<double> decodes;
  for (const auto& one : rates) {
    prompts.push_back(one.prompt);
    decodes.push_back(one.decode);
  }
  return {percentile(prompts, 0.5), percentile(decodes, 0.5)};
}

double memoryBandwidth() {
  const std::vector<uint64_t> memory((512 << 20) / sizeof(uint64_t), 1);
  double best = 0;
  for (int repetition = 0; repetition < 4; ++repetition) {
    SteadyTime start = SystemClock().steadyNow();
    uint64_t sums[8] = {};
    for (size_t i = 0; i < memory.size(); i += 8) {
      for (size_t k = 0; k < 8; ++k) sums[k] += memory[i + k];
    }
    uint64_t sum = 0;
    for (uint64_t one : sums) sum += one;
    KJ_REQUIRE(sum == memory.size());
    best = std::max(best, static_cast<double>(memory.size() * 8) / secondsSince(start));
  }
  return best;
}

}  // namespace muster::bench

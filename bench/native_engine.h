// The native engine as benchmarks run it: a random model, its ranks as threads of this process that
// sum over shared memory, steps timed on rank 0.
#pragma once

#include "protocol/plan.h"
#include "sharding/model_spec.h"
#include "tools/make_model/llama.h"
#include "worker/engine/native/backend.h"
#include "worker/engine/native/step.h"

#include <kj/memory.h>

#include <functional>
#include <vector>

namespace muster::bench {

// What the engine knows of a model of these sizes, with weights of this type.
sharding::ModelSpec specOf(const sample::Llama& sizes, Dtype dtype);
// Of bench/benched_model.h.
sharding::ModelSpec benchedSpec(Dtype dtype);

// Bytes of its weights that one new token reads: all but the embedding.
double bytesPerToken(const sharding::ModelSpec& spec);

using MakeBackend = std::function<kj::Own<worker::Backend>()>;

// Runs `drive` with the executor of rank 0; each rank has a backend of its own. Weights are
// normal(0, 1 / sqrt(columns)), alike in each run.
void withEngine(const sharding::ModelSpec& spec, uint32_t tensor, const MakeBackend& makeBackend,
                const std::function<void(worker::StepExecutor&)>& drive);
// On this machine's processor.
void withEngine(const sharding::ModelSpec& spec, uint32_t tensor,
                const std::function<void(worker::StepExecutor&)>& drive);

// Tokens per second of one repetition: a prompt in one step, then new tokens one by one.
struct Rates {
  double prompt = 0;
  double decode = 0;
};
Rates measureRates(worker::StepExecutor& executor, uint32_t promptTokens, uint32_t newTokens);

// The middle one of each.
Rates medianOf(const std::vector<Rates>& rates);

// What one thread reads from memory, bytes per second: a sum over more than any cache holds.
double memoryBandwidth();

}  // namespace muster::bench

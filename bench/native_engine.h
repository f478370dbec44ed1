// The native engine as benchmarks run it: a random model, its ranks as threads of this process that
// sum over shared memory, steps timed on rank 0.
#pragma once

#include "protocol/plan.h"
#include "sharding/model_spec.h"
#include "worker/engine/native/step.h"

#include <functional>
#include <vector>

namespace muster::bench {

// The Llama that other engines were measured on: 205.6 million parameters, hidden 1024, 16 layers,
// 16 heads of 64, 8 key/value heads, feed-forward 2816, vocabulary 8192, untied.
sharding::ModelSpec benchedModel(Dtype dtype);

// Bytes of its weights that one new token reads: all but the embedding.
double bytesPerToken(const sharding::ModelSpec& spec);

// Runs `drive` with the executor of rank 0. Weights are normal(0, 1 / sqrt(columns)), alike in each
// run.
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

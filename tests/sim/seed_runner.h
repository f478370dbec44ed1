// Runs seeds in processes of their own, several at a time, so that a crash of one is a result like
// any other.
#pragma once

#include "tests/sim/simulation.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace muster::sim {

struct SeedReport {
  RunResult result;
  bool crashed = false;  // its process ended without a result
};

// Calls `done` for each seed of [first, first + count), in the order in which they end, until it
// answers false or all are done. `jobs`: how many run at a time.
void runSeeds(RunOptions options, uint64_t count, unsigned jobs,
              const std::function<bool(uint64_t seed, const SeedReport&)>& done);

}  // namespace muster::sim

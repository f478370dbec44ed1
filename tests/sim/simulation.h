// One run: a cluster, clients and faults from one seed, then quiet, and the question whether all is
// well.
#pragma once

#include "tests/sim/faults.h"
#include "tests/sim/world.h"

#include <array>
#include <optional>
#include <string>

namespace muster::sim {

struct RunOptions {
  uint64_t seed = 1;
  Duration chaos = 40_s;  // of faults and clients' work, virtual
  bool verbose = false;   // notes and logs on stderr
};

struct RunResult {
  std::optional<Violation> violation;
  uint64_t traceHash = 0;
  uint64_t events = 0;
  Duration simulated;
  std::array<uint64_t, FAULT_KINDS> hits{};
  uint64_t commands = 0;
  uint64_t epochs = 0;
  uint64_t accepted = 0;
  uint64_t reads = 0;
};

RunResult runSimulation(const RunOptions& options);

}  // namespace muster::sim

// One run: a cluster, clients and faults from one seed, then quiet, and the question whether all is
// well.
#pragma once

#include "tests/sim/faults.h"
#include "tests/sim/world.h"

#include <array>
#include <optional>
#include <string>

namespace muster::sim {

enum class Scenario : uint8_t {
  FAULTS,  // faults of many kinds while clients work
  OUTAGE,  // every server of the coordination service is away for ten minutes, and nothing else
};

struct RunOptions {
  uint64_t seed = 1;
  Scenario scenario = Scenario::FAULTS;
  size_t workers = 0;    // 0: as the mix has it for this seed
  Duration chaos;        // of faults and clients' work, virtual; 0: as fits the number of workers
  uint64_t without = 0;  // a bit for each kind of fault that is left out
  bool verbose = false;  // notes and logs on stderr
};

// Of 40 seeds 34 have 8 workers, 5 have 20 and one has 200.
size_t workersOfSeed(uint64_t seed);

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

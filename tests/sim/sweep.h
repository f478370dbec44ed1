// Many seeds: the mix, the search for a planted bug, and the proof that a seed decides everything.
#pragma once

#include "tests/sim/sim_arguments.h"

namespace muster::sim {

// Each of these prints what it found and returns the program's exit status.
int replaySeed(const Arguments& arguments);
int sweepSeeds(const Arguments& arguments);
int sweepForever(const Arguments& arguments);
int findPlantedBug(const Arguments& arguments);
int compareTraces(const Arguments& arguments);

}  // namespace muster::sim

// What the simulation's programs are told on their command line and by the environment.
#pragma once

#include "tests/sim/simulation.h"

#include <cstdint>
#include <string>

namespace muster::sim {

struct Arguments {
  enum class Mode { SWEEP, REPLAY, FOREVER, DETERMINISM, FIND };

  std::string self;  // this program, to be run again
  Mode mode = Mode::SWEEP;
  RunOptions run;  // of every seed; what stands at its default there is drawn from the seed
  uint64_t seeds = 50;
  unsigned jobs = 2;
  std::string control;  // FIND: the program without the planted bug
};

// Ends the program with a word when it does not understand.
Arguments parseArguments(int argc, char** argv);

// The command line that replays a seed as these arguments ran it.
std::string replayCommand(const Arguments& arguments, uint64_t seed);

}  // namespace muster::sim

// The whole cluster on virtual time, seed by seed. `tools/sim` runs it; an argument that it does
// not know makes it say which there are.
#include "tests/sim/sweep.h"

int main(int argc, char** argv) {
  using namespace muster::sim;
  Arguments arguments = parseArguments(argc, argv);
  switch (arguments.mode) {
    case Arguments::Mode::REPLAY:
      return replaySeed(arguments);
    case Arguments::Mode::FOREVER:
      return sweepForever(arguments);
    case Arguments::Mode::DETERMINISM:
      return compareTraces(arguments);
    case Arguments::Mode::FIND:
      return findPlantedBug(arguments);
    case Arguments::Mode::SWEEP:
      break;
  }
  return sweepSeeds(arguments);
}

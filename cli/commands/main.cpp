// The `muster` command.
#include "cli/commands/run.h"

#include <csignal>

int main(int argc, char** argv) {
  // A reader that goes away ends the output, not the process.
  signal(SIGPIPE, SIG_IGN);
  muster::SystemClock clock;
  return muster::cli::runMuster({argv + 1, argv + argc}, muster::cli::processStreams(),
                                muster::cli::processEnvironment(), clock);
}

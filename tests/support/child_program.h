// Our daemons as plain child processes of a test.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

namespace muster::support {

struct ProcessEnd {
  int code = -1;  // -1: ended by a signal
  int signal = 0;
  std::string output;  // stdout and stderr
};

// Starts the program of that name of this build, with both outputs appended to `output`; it dies
// with us.
pid_t spawnProgram(const std::string& name, std::vector<std::string> arguments,
                   const std::string& output);

// Whether it has ended, so that awaitEnd() would return at once.
bool hasEnded(pid_t pid);

// Waits until it has ended.
ProcessEnd awaitEnd(pid_t pid);

}  // namespace muster::support

// Says in words that a rank's program is not there, before anything is started.
#pragma once

#include "base/result.h"

#include <string>
#include <vector>

namespace muster::worker {

struct ProgramPlace {
  std::string folder;  // the rank's own: relative paths start there
  std::string path;    // PATH of the rank's environment
  std::string engine;  // its word in a deployment
};

// Refuses ENGINE_EXITED when argv[0] is no program that we may run: by its path when there is a
// slash in it, else in the folders of `place.path`. The text says where it was looked for, the
// fix what to change.
Result<Done> checkProgramExists(const std::vector<std::string>& argv, const ProgramPlace& place);

}  // namespace muster::worker

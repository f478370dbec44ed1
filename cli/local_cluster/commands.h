// `muster up` and `muster down`: a whole cluster on this machine.
#pragma once

#include "cli/local_cluster/local_plan.h"
#include "cli/terminal.h"

#include <string>

namespace muster::cli {

struct DownOptions {
  std::string directory;  // empty: the default one
  bool keepRanks = false;
};

// Starts the cluster of a directory, resumes it, or starts what is missing of it; returns the exit
// code. Without `detach` it then shows what the supervisor does until Ctrl-C, which detaches (exit
// 130).
int runUp(const UpOptions& options, Terminal& terminal, const Environment& environment);

// Stops all of it, after a question where a person is there to answer. Exit 0 also when nothing
// ran, 4 when there is no cluster in that directory.
int runDown(const DownOptions& options, Terminal& terminal, const Environment& environment);

// Where the cluster lies: the directory given, else $XDG_STATE_HOME/muster/local.
LocalLayout layoutOf(const std::string& directory, const Environment& environment);

}  // namespace muster::cli

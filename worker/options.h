// The command line of muster-worker.
#pragma once

#include "base/result.h"

#include <map>
#include <string>
#include <vector>

namespace muster::worker {

enum class Action { SERVE, CHECK_CONFIG, STOP_RANKS, VERSION, HELP };

struct Options {
  Action action = Action::SERVE;
  std::string configPath = "/etc/muster/worker.toml";
  std::map<std::string, std::string> flags;  // keys of worker.toml given as --KEY VALUE
};

// `arguments` without the program's name. Refuses INVALID_VALUE for a word it does not know or a
// value that is missing.
Result<Options> parseOptions(const std::vector<std::string>& arguments);

std::string usage();

}  // namespace muster::worker

// The command line of muster-gateway.
#pragma once

#include "base/result.h"

#include <map>
#include <string>
#include <vector>

namespace muster::gateway {

enum class Action { SERVE, CHECK_CONFIG, VERSION, HELP };

struct Options {
  Action action = Action::SERVE;
  std::string configPath = "/etc/muster/gateway.toml";
  std::map<std::string, std::string> flags;  // keys of gateway.toml given as --KEY VALUE
};

// `arguments` without the program's name. Refuses INVALID_VALUE for a word it does not know or a
// value that is missing.
Result<Options> parseOptions(const std::vector<std::string>& arguments);

std::string usage();

}  // namespace muster::gateway

// The command line that our daemons share: --config FILE, an action, and any key of the
// configuration as --KEY VALUE.
#pragma once

#include "base/config.h"
#include "base/result.h"

#include <map>
#include <string>
#include <vector>

namespace muster {

// What one daemon's command line may say.
struct DaemonSyntax {
  std::string program;                                // for hints
  const ConfigSchema& schema;                         // its plain keys are flags
  std::vector<std::string> actions = {};              // "check-config"
  std::vector<std::string> actionsWithArgument = {};  // "print-store"
  std::vector<std::string> values = {};               // "yes-cluster": no action and no key
};

struct DaemonOptions {
  std::string action;                         // the last one given, without dashes; empty: serve
  std::string argument;                       // of the action
  std::string configPath;                     // empty: not given
  std::map<std::string, std::string> flags;   // by key
  std::map<std::string, std::string> values;  // by name
};

// `arguments` without the program's name. Refuses INVALID_VALUE for a word that the daemon does not
// know, and for a value that is missing.
Result<DaemonOptions> parseDaemonOptions(const DaemonSyntax& syntax,
                                         const std::vector<std::string>& arguments);

}  // namespace muster

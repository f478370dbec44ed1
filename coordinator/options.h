// The command line of muster-coordinator.
#pragma once

#include "base/result.h"

#include <map>
#include <string>
#include <vector>

namespace muster::coordinator {

enum class Action {
  SERVE,
  CHECK_CONFIG,
  BOOTSTRAP,
  PRINT_STORE,
  RESTORE,
  RESTORE_FROM_STORE,
  VERSION,
  HELP
};

struct Options {
  Action action = Action::SERVE;
  std::string configPath = "/etc/muster/coordinator.toml";
  std::string storeDirectory;                // of PRINT_STORE
  std::string backupFile;                    // of RESTORE
  std::string confirmedCluster;              // of a restore: the name that somebody typed
  std::map<std::string, std::string> flags;  // keys of coordinator.toml given as --KEY VALUE
};

// `arguments` without the program's name. Refuses INVALID_VALUE for a word it does not know or a
// value that is missing.
Result<Options> parseOptions(const std::vector<std::string>& arguments);

std::string usage();

}  // namespace muster::coordinator

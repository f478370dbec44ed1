#include "worker/options.h"

#include "base/daemon_options.h"
#include "worker/config.h"

#include <map>

namespace muster::worker {

Result<Options> parseOptions(const std::vector<std::string>& arguments) {
  static const std::map<std::string, Action> ACTIONS = {{"", Action::SERVE},
                                                        {"check-config", Action::CHECK_CONFIG},
                                                        {"stop-ranks", Action::STOP_RANKS},
                                                        {"version", Action::VERSION},
                                                        {"help", Action::HELP}};
  auto given = parseDaemonOptions({.program = "muster-worker",
                                   .schema = workerSchema(),
                                   .actions = {"check-config", "stop-ranks", "version", "help"}},
                                  arguments);
  if (!given) return given.refusal();
  Options options{.action = ACTIONS.at(given->action), .flags = given->flags};
  if (!given->configPath.empty()) options.configPath = given->configPath;
  return options;
}

std::string usage() {
  return "muster-worker [--config FILE] [--KEY VALUE ...]   serve (FILE: "
         "/etc/muster/worker.toml)\n"
         "muster-worker [--config FILE] --check-config      say what is wrong with FILE\n"
         "muster-worker [--config FILE] --stop-ranks        stop the ranks that a stopped worker "
         "left running\n"
         "muster-worker --version | --help\n";
}

}  // namespace muster::worker

#include "coordinator/options.h"

#include "base/daemon_options.h"
#include "coordinator/config.h"

#include <map>

namespace muster::coordinator {

Result<Options> parseOptions(const std::vector<std::string>& arguments) {
  static const std::map<std::string, Action> ACTIONS = {
      {"", Action::SERVE},
      {"check-config", Action::CHECK_CONFIG},
      {"bootstrap", Action::BOOTSTRAP},
      {"print-store", Action::PRINT_STORE},
      {"restore", Action::RESTORE},
      {"restore-from-store", Action::RESTORE_FROM_STORE},
      {"version", Action::VERSION},
      {"help", Action::HELP}};
  auto given = parseDaemonOptions(
      {.program = "muster-coordinator",
       .schema = coordinatorSchema(),
       .actions = {"check-config", "bootstrap", "restore-from-store", "version", "help"},
       .actionsWithArgument = {"print-store", "restore"},
       .values = {"yes-cluster"}},
      arguments);
  if (!given) return given.refusal();
  if (given->action == "restore" && given->argument.empty()) {
    return Refusal{RefusalCode::INVALID_VALUE, "--restore needs the path of a backup"};
  }
  Options options{.action = ACTIONS.at(given->action),
                  .storeDirectory = given->argument,
                  .backupFile = given->argument,
                  .confirmedCluster = given->values["yes-cluster"],
                  .flags = given->flags};
  if (!given->configPath.empty()) options.configPath = given->configPath;
  return options;
}

std::string usage() {
  return "muster-coordinator [--config FILE] [--KEY VALUE ...]   serve (FILE: "
         "/etc/muster/coordinator.toml)\n"
         "muster-coordinator [--config FILE] --check-config      say what is wrong with FILE\n"
         "muster-coordinator [--config FILE] --bootstrap         make the cluster's tree in "
         "ZooKeeper, once\n"
         "muster-coordinator [--config FILE] --restore BACKUP --yes-cluster NAME\n"
         "                                                       start a new history from a "
         "backup; "
         "all coordinators are stopped\n"
         "muster-coordinator [--config FILE] --restore-from-store --yes-cluster NAME\n"
         "                                                       the same from this coordinator's "
         "store\n"
         "muster-coordinator --print-store DIR                   requests of a stopped "
         "coordinator's store as JSON lines\n"
         "muster-coordinator --version | --help\n";
}

}  // namespace muster::coordinator

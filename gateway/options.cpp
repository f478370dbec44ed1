#include "gateway/options.h"

#include "base/daemon_options.h"
#include "gateway/config.h"

#include <map>

namespace muster::gateway {

Result<Options> parseOptions(const std::vector<std::string>& arguments) {
  static const std::map<std::string, Action> ACTIONS = {{"", Action::SERVE},
                                                        {"check-config", Action::CHECK_CONFIG},
                                                        {"version", Action::VERSION},
                                                        {"help", Action::HELP}};
  auto given = parseDaemonOptions({.program = "muster-gateway",
                                   .schema = gatewaySchema(),
                                   .actions = {"check-config", "version", "help"}},
                                  arguments);
  if (!given) return given.refusal();
  Options options{.action = ACTIONS.at(given->action), .flags = given->flags};
  if (!given->configPath.empty()) options.configPath = given->configPath;
  return options;
}

std::string usage() {
  return "muster-gateway [--config FILE] [--KEY VALUE ...]   serve (FILE: "
         "/etc/muster/gateway.toml)\n"
         "muster-gateway [--config FILE] --check-config      say what is wrong with FILE\n"
         "muster-gateway --version | --help\n";
}

}  // namespace muster::gateway

#include "base/version.h"
#include "coordinator/options.h"
#include "coordinator/restore_command.h"
#include "coordinator/serve.h"
#include "protocol/daemon_main.h"

#include <cstdio>
#include <string>
#include <vector>

namespace {

using namespace muster;               // NOLINT(google-build-using-namespace): a main of its own
using namespace muster::coordinator;  // NOLINT(google-build-using-namespace): as above

int withConfig(const Options& options) {
  auto table =
      loadConfig(coordinatorSchema(), options.configPath, ConfigPresence::REQUIRED, options.flags);
  if (!table) return complain(table.refusal(), EXIT_INVALID_FILE, options.configPath);
  auto config = coordinatorConfig(*table);
  if (!config) return complain(config.refusal(), EXIT_INVALID_FILE, options.configPath);
  if (options.action == Action::BOOTSTRAP) return bootstrapCluster(*config);
  if (options.action == Action::SERVE) return serve(*config);
  if (options.action == Action::RESTORE || options.action == Action::RESTORE_FROM_STORE) {
    return restoreCluster(*config, {options.backupFile, options.confirmedCluster});
  }
  std::printf("%s: ok\n", options.configPath.c_str());
  return 0;
}

int act(const Options& options) {
  switch (options.action) {
    case Action::VERSION:
      std::printf("muster-coordinator %s\n", VERSION);
      return 0;
    case Action::HELP:
      std::fputs(usage().c_str(), stdout);
      return 0;
    case Action::PRINT_STORE:
      return printStore(options.storeDirectory);
    default:
      return withConfig(options);
  }
}

}  // namespace

int main(int argc, char** argv) {
  auto options = parseOptions(std::vector<std::string>(argv + 1, argv + argc));
  if (!options) return complain(options.refusal(), EXIT_WRONG_USAGE);
  return runDaemon("muster-coordinator", [&] { return act(*options); });
}

#include "base/version.h"
#include "gateway/config.h"
#include "gateway/gateway.h"
#include "gateway/options.h"
#include "protocol/daemon_main.h"

#include <cstdio>
#include <string>
#include <vector>

namespace muster::gateway {
namespace {

int withConfig(const Options& options) {
  const std::string& path = options.configPath;
  auto table = loadConfig(gatewaySchema(), path, ConfigPresence::REQUIRED, options.flags);
  if (!table) return complain(table.refusal(), EXIT_INVALID_FILE, path);
  auto settings = gatewaySettings(*table);
  if (!settings) return complain(settings.refusal(), EXIT_INVALID_FILE, path);
  if (options.action == Action::CHECK_CONFIG) {
    std::printf("%s: ok\n", path.c_str());
    return 0;
  }
  auto served = serve(*settings);
  return served ? 0 : complain(served.refusal(), EXIT_FAILED);
}

int act(const Options& options) {
  switch (options.action) {
    case Action::VERSION:
      std::printf("muster-gateway %s\n", VERSION);
      return 0;
    case Action::HELP:
      std::fputs(usage().c_str(), stdout);
      return 0;
    default:
      return withConfig(options);
  }
}

int run(const std::vector<std::string>& arguments) {
  auto options = parseOptions(arguments);
  if (!options) return complain(options.refusal(), EXIT_WRONG_USAGE);
  return runDaemon("muster-gateway", [&] { return act(*options); });
}

}  // namespace
}  // namespace muster::gateway

int main(int argc, char** argv) {
  return muster::gateway::run(std::vector<std::string>(argv + 1, argv + argc));
}

#include "base/version.h"
#include "protocol/daemon_main.h"
#include "worker/gpu/gpu_devices.h"
#include "worker/options.h"
#include "worker/serve.h"

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace muster::worker {
namespace {

int outcome(const Result<Done>& done) { return done ? 0 : complain(done.refusal(), EXIT_FAILED); }

int withConfig(const Options& options) {
  const std::string& path = options.configPath;
  auto table = loadConfig(workerSchema(), path, ConfigPresence::REQUIRED, options.flags);
  if (!table) return complain(table.refusal(), EXIT_INVALID_FILE, path);
  auto config = workerConfig(*table);
  if (!config) return complain(config.refusal(), EXIT_INVALID_FILE, path);
  if (options.action == Action::STOP_RANKS) return outcome(stopRanks(*config));
  auto driver = findDevices(config->node);
  if (!driver) return complain(driver.refusal(), EXIT_INVALID_FILE, path);
  if (options.action == Action::CHECK_CONFIG) {
    std::printf("%s: ok\n", path.c_str());
    return 0;
  }
  return outcome(serve(*config, std::move(*driver)));
}

int act(const Options& options) {
  switch (options.action) {
    case Action::VERSION:
      std::printf("muster-worker %s\n", VERSION);
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
  return runDaemon("muster-worker", [&] { return act(*options); });
}

}  // namespace
}  // namespace muster::worker

int main(int argc, char** argv) {
  return muster::worker::run(std::vector<std::string>(argv + 1, argv + argc));
}

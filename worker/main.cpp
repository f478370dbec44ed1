#include "base/exception_refusal.h"
#include "base/version.h"
#include "protocol/error_text.h"
#include "worker/gpu/gpu_devices.h"
#include "worker/options.h"
#include "worker/serve.h"

#include <kj/exception.h>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace muster::worker {
namespace {

constexpr int FAILED = 1;
constexpr int WRONG_USAGE = 2;
constexpr int INVALID_FILE = 3;

int complain(const Refusal& refusal, int exitCode, const std::string& fileName = "") {
  std::fputs(toErrorText(refusal, {.fileName = fileName}).c_str(), stderr);
  return exitCode;
}

int outcome(const Result<Done>& done) { return done ? 0 : complain(done.refusal(), FAILED); }

int withConfig(const Options& options) {
  const std::string& path = options.configPath;
  auto table = loadConfig(workerSchema(), path, ConfigPresence::REQUIRED, options.flags);
  if (!table) return complain(table.refusal(), INVALID_FILE, path);
  auto config = workerConfig(*table);
  if (!config) return complain(config.refusal(), INVALID_FILE, path);
  if (options.action == Action::STOP_RANKS) return outcome(stopRanks(*config));
  auto driver = findDevices(config->node);
  if (!driver) return complain(driver.refusal(), INVALID_FILE, path);
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
  if (!options) return complain(options.refusal(), WRONG_USAGE);
  int code = 0;
  KJ_IF_MAYBE (why, kj::runCatchingExceptions([&] { code = act(*options); })) {
    return complain(refusalOf(*why), FAILED);
  }
  return code;
}

}  // namespace
}  // namespace muster::worker

int main(int argc, char** argv) {
  return muster::worker::run(std::vector<std::string>(argv + 1, argv + argc));
}

#include "base/exception_refusal.h"
#include "base/version.h"
#include "gateway/config.h"
#include "gateway/gateway.h"
#include "gateway/options.h"
#include "protocol/error_text.h"

#include <kj/exception.h>

#include <cstdio>
#include <string>
#include <vector>

namespace muster::gateway {
namespace {

constexpr int FAILED = 1;
constexpr int WRONG_USAGE = 2;
constexpr int INVALID_FILE = 3;

int complain(const Refusal& refusal, int exitCode, const std::string& fileName = "") {
  std::fputs(toErrorText(refusal, {.fileName = fileName}).c_str(), stderr);
  return exitCode;
}

int withConfig(const Options& options) {
  const std::string& path = options.configPath;
  auto table = loadConfig(gatewaySchema(), path, ConfigPresence::REQUIRED, options.flags);
  if (!table) return complain(table.refusal(), INVALID_FILE, path);
  auto settings = gatewaySettings(*table);
  if (!settings) return complain(settings.refusal(), INVALID_FILE, path);
  if (options.action == Action::CHECK_CONFIG) {
    std::printf("%s: ok\n", path.c_str());
    return 0;
  }
  auto served = serve(*settings);
  return served ? 0 : complain(served.refusal(), FAILED);
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
  if (!options) return complain(options.refusal(), WRONG_USAGE);
  int code = 0;
  KJ_IF_MAYBE (why, kj::runCatchingExceptions([&] { code = act(*options); })) {
    return complain(refusalOf(*why), FAILED);
  }
  return code;
}

}  // namespace
}  // namespace muster::gateway

int main(int argc, char** argv) {
  return muster::gateway::run(std::vector<std::string>(argv + 1, argv + argc));
}

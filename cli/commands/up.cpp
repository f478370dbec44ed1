#include "cli/commands/commands.h"
#include "cli/local_cluster/commands.h"

namespace muster::cli {
namespace {

Result<std::optional<uint32_t>> optionalNumber(const Invocation& invocation,
                                               const std::string& flag) {
  if (!invocation.has(flag)) return std::optional<uint32_t>();
  auto number = numberOf(invocation, flag, 0, {1});
  if (!number) return number.refusal();
  return std::optional<uint32_t>(*number);
}

std::vector<std::string> splitAtCommas(const std::string& text) {
  std::vector<std::string> parts;
  size_t begin = 0;
  while (begin < text.size()) {
    size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

Result<UpOptions> upOptions(const Invocation& invocation) {
  const Arguments& arguments = invocation.arguments;
  UpOptions options{.directory = arguments.value("--dir"),
                    .models = arguments.values("--models"),
                    .restartRoles = splitAtCommas(arguments.value("--restart")),
                    .detach = arguments.has("--detach"),
                    .supervise = arguments.has("--supervise")};
  struct Count {
    const char* flag;
    std::optional<uint32_t>& into;
  };
  for (auto& [flag, into] :
       {Count{"--zookeepers", options.zookeepers}, Count{"--coordinators", options.coordinators},
        Count{"--workers", options.workers}, Count{"--devices", options.devices}}) {
    auto number = optionalNumber(invocation, flag);
    if (!number) return number.refusal();
    into = *number;
  }
  if (arguments.has("--device-type")) options.deviceType = arguments.value("--device-type");
  std::string memory = arguments.value("--device-memory");
  if (memory.empty()) return options;
  options.deviceMemory = parseBytes(memory);
  if (options.deviceMemory) return options;
  return Refusal{RefusalCode::INVALID_VALUE,
                 "--device-memory is \"" + memory + "\", wanted a size such as 4GiB"};
}

}  // namespace

Result<int> runUpCommand(Invocation& invocation) {
  auto options = upOptions(invocation);
  if (!options) return invocation.wrongUsage(options.refusal());
  return runUp(*options, invocation.terminal, invocation.environment);
}

Result<int> runDownCommand(Invocation& invocation) {
  DownOptions options{.directory = invocation.arguments.value("--dir"),
                      .keepRanks = invocation.has("--keep-ranks")};
  return runDown(options, invocation.terminal, invocation.environment);
}

}  // namespace muster::cli

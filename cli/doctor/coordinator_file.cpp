#include "cli/doctor/coordinator_file.h"

#include "base/config.h"
#include "base/files.h"

#include <kj/exception.h>

namespace muster::cli {
namespace {

constexpr Bytes COORDINATOR_FILE_LIMIT = 1_MiB;

// Of coordinator/config.cpp; that file's owner is the one who says what is wrong with it.
ConfigSchema keysOfInterest() {
  using enum ConfigType;
  return {.file = "coordinator.toml",
          .intro = "",
          .keys = {configKey("zookeeper.servers", STRING_LIST, std::nullopt, "The ensemble."),
                   configKey("zookeeper.session_timeout", DURATION, "1s", "Of a leader.")},
          .others = OtherKeys::IGNORED};
}

}  // namespace

std::optional<CoordinatorFile> readCoordinatorFile(const std::string& path) {
  std::optional<CoordinatorFile> found;
  kj::runCatchingExceptions([&] {
    auto text = readFile(path, COORDINATOR_FILE_LIMIT);
    if (!text) return;
    auto table = readConfig(keysOfInterest(), {.files = {{path, *text}}});
    if (!table) return;
    found = CoordinatorFile{table->list("zookeeper.servers"),
                            table->duration("zookeeper.session_timeout")};
  });
  return found;
}

}  // namespace muster::cli

// What the doctor wants to know of this machine's coordinator.toml.
#pragma once

#include "base/units.h"

#include <optional>
#include <string>
#include <vector>

namespace muster::cli {

struct CoordinatorFile {
  std::vector<std::string> zookeepers;  // IP addresses and ports
  Duration session;
};

// Nothing when there is no such file, it may not be read, or it is wrong (`muster-coordinator
// --check-config` says how).
std::optional<CoordinatorFile> readCoordinatorFile(const std::string& path);

}  // namespace muster::cli

// One agent per data directory: two would overwrite each other's order.
#pragma once

#include "base/result.h"

#include <kj/io.h>

#include <string>

namespace muster::worker {

// Makes the folder (mode 0700) when it is missing and locks it until the result is dropped, or the
// process ends. Refuses ALREADY_RUNNING, DISK_FULL, and INVALID_VALUE for a place that is none.
Result<kj::AutoCloseFd> lockDataDirectory(const std::string& path);

}  // namespace muster::worker

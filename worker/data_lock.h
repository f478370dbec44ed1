// One agent per data directory: two would overwrite each other's order.
#pragma once

#include "base/result.h"

#include <kj/io.h>

#include <string>

namespace muster::worker {

// Makes the folder (mode 0700) when it is missing and locks it until the result is dropped, or the
// process ends. Refuses ALREADY_RUNNING; throws when the folder cannot be made or opened.
Result<kj::AutoCloseFd> lockDataDirectory(const std::string& path);

}  // namespace muster::worker

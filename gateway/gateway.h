// The whole program: the fronts, each in a thread, and the watcher on the thread that runs it.
#pragma once

#include "base/result.h"
#include "gateway/settings.h"

namespace muster::gateway {

// Serves until SIGTERM or SIGINT; then lets the running requests end, for as long as the settings
// say. A second signal ends it at once. Refuses PORT_IN_USE, INVALID_VALUE.
Result<Done> serve(const Settings& settings);

}  // namespace muster::gateway

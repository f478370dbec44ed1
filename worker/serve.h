// muster-worker with the real things outside: files, clocks, TLS, processes, HTTP.
#pragma once

#include "base/result.h"
#include "worker/config.h"

namespace muster::worker {

// Until SIGTERM or SIGINT; the ranks go on. Refuses ALREADY_RUNNING, PORT_IN_USE, a certificate of
// another node, and a stored order that is damaged. Throws for what else the machine denies.
Result<Done> serve(const WorkerConfig& config);

}  // namespace muster::worker

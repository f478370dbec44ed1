// muster-worker with the real things outside: files, clocks, TLS, processes, HTTP.
#pragma once

#include "base/result.h"
#include "worker/config.h"
#include "worker/gpu/gpu_driver.h"

#include <memory>

namespace muster::worker {

// Until SIGTERM or SIGINT; the ranks go on. `gpus`: of the node's devices; null when they are
// declared. Refuses ALREADY_RUNNING, PORT_IN_USE, a certificate of
// another node, and a stored order that is damaged. Throws for what else the machine denies.
Result<Done> serve(const WorkerConfig& config, std::shared_ptr<GpuDriver> gpus);

// Stops every rank that an agent left running on this node, and returns when all have ended.
// Refuses ALREADY_RUNNING while an agent runs.
Result<Done> stopRanks(const WorkerConfig& config);

}  // namespace muster::worker

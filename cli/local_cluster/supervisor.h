// The supervisor of a local cluster: one process whose children all the others are.
#pragma once

#include "cli/local_cluster/layout.h"
#include "cli/local_cluster/local_plan.h"

namespace muster::cli {

// Runs until it is told to stop (supervisor.capnp, or SIGTERM, which stops everything, ranks too).
// Takes over what an earlier supervisor left running. Returns the exit code; logs to stderr.
int superviseLocalCluster(const LocalLayout& layout);

}  // namespace muster::cli

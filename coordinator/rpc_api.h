// The interface ClusterApi for clients: reads their calls, has the API's parts answer them, and
// counts.
#pragma once

#include "coordinator/api.h"
#include "coordinator/gate.h"

namespace muster::coordinator {

// For Coordinator::serveApi(). `context` and all it borrows outlive the coordinator's server.
ApiFactory makeRpcApi(ApiContext& context);

}  // namespace muster::coordinator

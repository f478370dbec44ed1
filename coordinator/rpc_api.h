// The interface ClusterApi for clients, and PeerServices for the other coordinators: reads their
// calls, has the API's parts answer them, and counts.
#pragma once

#include "coordinator/api.h"
#include "coordinator/gate.h"
#include "coordinator/history_store.h"

namespace muster::coordinator {

// For Coordinator::serveApi(). `context` and all it borrows outlive the coordinator's server.
// Without `store` other coordinators are given no history.
ApiFactory makeRpcApi(ApiContext& context, kj::Maybe<const HistoryStore&> store = nullptr);

}  // namespace muster::coordinator

// What a coordinator may ask of this node: orders, a look into a model, the output of a rank.
#pragma once

#include "protocol/worker.capnp.h"
#include "worker/order_keeper.h"
#include "worker/ranks.h"

#include <string>

namespace muster::worker {

struct AgentServerParts {
  OrderKeeper& keeper;
  Ranks& ranks;
  ModelInspection& inspection;
};

// The capability for one connection; `from` names the coordinator behind it. `parts` outlive the
// connection.
schema::Agent::Client makeAgentServer(AgentServerParts parts, std::string from);

}  // namespace muster::worker

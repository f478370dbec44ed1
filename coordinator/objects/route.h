// Routes: where the requests for a model may go. One for each replica, ready or not, so that a
// gateway knows what it may use and what is still to come.
#pragma once

#include "coordinator/objects/json.h"

namespace muster::coordinator {

// "default/chat/0": names a route among all.
std::string routeId(const DeploymentState& deployment, ReplicaNumber number);

// Made of the state alone, so that every coordinator tells the same at one log index. Its state is
// the replica's phase, or "Unreachable" while a node of it is.
Json routeObject(const State& state, const DeploymentState& deployment, ReplicaNumber number,
                 const ReplicaState& replica);

}  // namespace muster::coordinator

// What the ranks of a plan will be started with.
#pragma once

#include "coordinator/core/state.h"
#include "coordinator/objects/json.h"

namespace muster::coordinator {

// One row for each rank of each placed replica: {replica, rank, node, argv, env}; made by the same
// functions as the agents' own. Ports are chosen when a rank starts: $MUSTER_PORT is the one of its
// own that it answers on, $PORT_OF_RANK_0 the one where that rank is met. Null for the native
// engine, which has one program and no arguments.
Json commandsOf(const State& state, const DeploymentState& deployment);

}  // namespace muster::coordinator

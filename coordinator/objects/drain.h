// What a drain moves and what blocks it, as JSON.
#pragma once

#include "coordinator/objects/json.h"

namespace muster::coordinator {

// {moving: [{tenant, deployment, replica, state}], blocked: [{..., reason, message, fix}]}
Json drainProgress(const State& state, const NodeName& node);

}  // namespace muster::coordinator

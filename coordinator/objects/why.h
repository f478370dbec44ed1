// Why a deployment is not what its owner asked for, as a JSON object.
#pragma once

#include "coordinator/objects/json.h"

namespace muster::coordinator {

// Asks the planner once for the lowest replica that waits for a place, so that the verdicts are
// those of now.
Json whyObject(const ObjectView& view, const DeploymentState& deployment);

}  // namespace muster::coordinator

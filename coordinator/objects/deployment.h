// Deployments as JSON objects.
#pragma once

#include "coordinator/objects/json.h"

namespace muster::coordinator {

Json deploymentObject(const ObjectView& view, const DeploymentState& deployment);

}  // namespace muster::coordinator

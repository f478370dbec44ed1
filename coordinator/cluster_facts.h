// What this coordinator knows of the cluster and its coordinators.
#pragma once

#include "coordinator/api.h"
#include "coordinator/objects/cluster.h"

namespace muster::coordinator {

ClusterFacts clusterFacts(const ApiContext& context);

// This coordinator itself.
CoordinatorView ownView(ApiContext& context);

}  // namespace muster::coordinator

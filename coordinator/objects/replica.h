// Replicas and their ranks as JSON objects.
#pragma once

#include "coordinator/objects/json.h"

namespace muster::coordinator {

Json replicaObject(const ObjectView& view, const DeploymentState& deployment, ReplicaNumber number,
                   const ReplicaState& replica);

// One rank of the current generation. Slices and bytes are what its node has reported to this
// leader; before it has, there are none.
Json rankObject(const ObjectView& view, const DeploymentState& deployment, ReplicaNumber number,
                const PlacedGeneration& generation, RankNumber rank);

}  // namespace muster::coordinator

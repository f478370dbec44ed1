// A generation that is followed by the next one in place.
#pragma once

#include "coordinator/core/change.h"

namespace muster::coordinator {

// Applies a placement that checkAdvance() has accepted, for a replica that has a generation.
void applyAdvance(Change& change, const ReplicaPlaced& body);

}  // namespace muster::coordinator

// How often a replica has failed by itself, and what that means for the next attempt.
#pragma once

#include "coordinator/core/change.h"

namespace muster::coordinator {

// Not for a lost or drained node, nor because somebody asked for it.
bool failedByItself(Reason reason);

// Counts a generation that ended for `reason` and keeps the error of the rank that failed first;
// nothing when it did not fail by itself. Sets when the next attempt may be made.
void countFailure(Change& change, ReplicaState& replica, const PlacedGeneration& generation,
                  Reason reason);

// The pause after so many failed attempts.
Duration retryDelay(uint32_t attempts);

}  // namespace muster::coordinator

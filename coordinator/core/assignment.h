// What a node is told of one of its ranks.
#pragma once

#include "coordinator/core/state.h"
#include "protocol/order.h"

namespace muster::coordinator {

// `ref`: a rank of this generation.
Assignment assignmentOf(const RankRef& ref, const PlacedGeneration& generation);

}  // namespace muster::coordinator

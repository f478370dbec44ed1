// A plan as a JSON object.
#pragma once

#include "coordinator/objects/json.h"
#include "coordinator/plan_book.h"

namespace muster::coordinator {

Json planObject(const KeptPlan& plan, const DryRun& run, Instant now);

}  // namespace muster::coordinator

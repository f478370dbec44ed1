// A plan as a JSON object.
#pragma once

#include "coordinator/objects/json.h"
#include "coordinator/plan_book.h"

#include <cstdint>

namespace muster::coordinator {

enum class ShowCommands : uint8_t { NO, YES };

Json planObject(const KeptPlan& plan, const DryRun& run, Instant now, ShowCommands show);

}  // namespace muster::coordinator

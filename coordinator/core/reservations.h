// Which memory of which device is promised to whom: the derived index of State::reservations.
#pragma once

#include "base/result.h"
#include "coordinator/core/state.h"

#include <optional>

namespace muster::coordinator {

void reserve(State& state, const GenerationRef& ref, const RankPlacement& rank,
             LogIndex placedIndex);
void release(State& state, const GenerationRef& ref, const RankPlacement& rank);

// Sum of what is promised of one device.
Bytes reservedMemory(const State& state, const NodeName& node, DeviceIndex device);

// Why this placement must not be made now: a missing, cordoned or unreachable node, a device that
// does not exist or is named twice, memory that is promised already. Nothing when it may. This is
// invariants 4 and 7, asked before the fact.
std::optional<Refusal> checkPlacement(const State& state, const Placement& placement);

}  // namespace muster::coordinator

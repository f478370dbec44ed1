// Which memory of which device is promised to whom: the derived index of State::reservations.
#pragma once

#include "base/result.h"
#include "coordinator/core/state.h"

#include <map>
#include <optional>
#include <string>
#include <utility>

namespace muster::coordinator {

void reserve(State& state, const GenerationRef& ref, const RankPlacement& rank,
             LogIndex placedIndex);
void release(State& state, const GenerationRef& ref, const RankPlacement& rank);

std::string deviceName(const NodeName& node, DeviceIndex device);  // "gpu07:3"

// Why a rank cannot stay on its devices, with the first such device's name: it is gone, smaller
// than what is promised of it, or unhealthy. Empty when it can.
std::string gpuTrouble(const NodeState& node, const RankPlacement& rank);

// Sum of what is promised of one device.
Bytes reservedMemory(const State& state, const NodeName& node, DeviceIndex device);

// Why this placement must not be made now: a missing, cordoned or unreachable node, a device that
// does not exist or is named twice, memory that is promised already. Nothing when it may. This is
// invariants 4 and 7, asked before the fact.
std::optional<Refusal> checkPlacement(const State& state, const Placement& placement);

// Its two halves. `given`: what of the devices' promised memory counts as free, since it passes on
// to this placement; at most what is promised.
using DeviceMemory = std::map<std::pair<NodeName, DeviceIndex>, Bytes>;
std::optional<Refusal> checkNodes(const State& state, const Placement& placement);
std::optional<Refusal> checkDevices(const State& state, const Placement& placement,
                                    const DeviceMemory& given);

}  // namespace muster::coordinator

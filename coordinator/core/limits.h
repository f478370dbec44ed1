// The numbers the core decides by.
#pragma once

#include "base/units.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace muster::coordinator {

inline constexpr uint32_t REPLICAS_MAX =
    10'000;  // of one deployment; bounds what one command can make
inline constexpr uint64_t WORLD_SIZE_MAX = 65'536;
inline constexpr size_t DEVICES_MAX = 1'024;  // of one node

inline constexpr Duration LEASE = 6_s;
// What a new leader grants every worker: whatever lease the old one may have given is over by then.
inline constexpr Duration TAKEOVER_LEASE = LEASE + LEASE / 5;
// How long a broken connection may be gone before the node's replicas are placed elsewhere.
inline constexpr Duration BROKEN_GRACE = 2_s;

// From here on deployments may name an engine's preset.
inline constexpr uint32_t SCHEMA_LEVEL_PRESETS = 2;
// From here on a deployment may cut its pipeline.
inline constexpr uint32_t SCHEMA_LEVEL_STAGES = 3;
// Of the first level whose nodes say how their GPUs are.
inline constexpr uint32_t SCHEMA_LEVEL_GPUS = 2;

// A request may name a time this far ahead of ours: coordinators' clocks differ a little.
inline constexpr Duration REQUEST_AHEAD_MAX = 1_min;

inline constexpr Duration RETRY_DELAY_MIN = 1_s;
inline constexpr Duration RETRY_DELAY_MAX = 60_s;
// A replica that was Ready for this long starts counting its failures anew.
inline constexpr Duration WELL_AFTER = 1_min;

// At most this many nodes stand declared lost without an operator's word.
inline constexpr size_t lostNodesMax(size_t nodes) { return std::max<size_t>(1, nodes / 5); }

}  // namespace muster::coordinator

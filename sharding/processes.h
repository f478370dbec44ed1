// From one device for each shard to the processes that drive them.
#pragma once

#include "protocol/plan.h"

#include <cstdint>

namespace muster::sharding {

// The placement of a gang whose processes drive several devices each: one rank for each process.
//
// `shards`: one rank with one device for each shard, by shard.
// Ranks are numbered so that the first has the first shard, node after node; a rank's devices keep
// the order of their shards, so a tensor group that lies on one node stays in one process or in
// neighbouring ones. Devices of unlike memory never share a process, since a rank reserves the same
// on each of its devices. EQUAL: the largest number of devices that every node's can be cut into.
Placement joinProcesses(const Placement& shards, ProcessShare share);

// Shards that have a place: where a process drives one device, as many as there are ranks.
uint64_t shardsOf(const Placement& placement, ProcessShare share);

}  // namespace muster::sharding

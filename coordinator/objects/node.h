// Nodes and their GPUs as JSON objects.
#pragma once

#include "coordinator/objects/json.h"

namespace muster::coordinator {

Json nodeObject(const ObjectView& view, const NodeState& node);
Json gpuObject(const ObjectView& view, const NodeState& node, const DeviceInfo& device);

// {total, busy, free}: of all nodes, or of one. Free: nothing is promised of it and its node takes
// work.
struct GpuCount {
  uint64_t total = 0;
  uint64_t busy = 0;
  uint64_t free = 0;
};
GpuCount countGpus(const State& state, const NodeState& node);
GpuCount countGpus(const State& state);

}  // namespace muster::coordinator

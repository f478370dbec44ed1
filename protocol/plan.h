// How one replica is cut and where its ranks go.
#pragma once

#include "base/ids.h"
#include "base/units.h"

#include <cstdint>
#include <vector>

namespace muster {

// How a model is cut. Rank r is (stage r / tensor, tensor index r % tensor).
struct ShardPlan {
  uint32_t tensor = 1;
  uint32_t pipeline = 1;
  // Shape [pipeline], ascending, starts with 0; empty: only the engine knows.
  std::vector<uint32_t> stageFirstLayer;
  std::vector<Bytes> rankWeights;  // shape [world size], bytes of weights each rank loads
  std::vector<Bytes>
      rankMemory;  // shape [world size], bytes reserved on each of the rank's devices
  uint32_t worldSize() const { return tensor * pipeline; }
  bool operator==(const ShardPlan&) const = default;
};

struct RankPlacement {
  RankNumber rank;
  NodeName node;
  std::vector<DeviceIndex> devices;  // ascending
  Bytes memory;                      // reserved on each device
  bool operator==(const RankPlacement&) const = default;
};

struct Placement {
  std::vector<RankPlacement> ranks;  // shape [world size], by rank
  bool operator==(const Placement&) const = default;
};

}  // namespace muster

// How one replica is cut and where its ranks go.
#pragma once

#include "base/ids.h"
#include "base/units.h"

#include <cstdint>
#include <vector>

namespace muster {

// How weights are kept on the device: as their file has them, or as signed bytes with one factor
// for each block of 32 neighbours of a row, rounded when they are loaded.
enum class WeightFormat : uint8_t { STORED, INT8 };

// Which devices of a gang one process drives.
enum class ProcessShare : uint8_t {
  DEVICE,  // one
  NODE,    // all of its node
  EQUAL,   // those of its node, and as many as every other process; so several where nodes differ
};

// How a model is cut, into one shard for each device. Shard s is (stage s / tensor, tensor index
// s % tensor), and rank s's where a process drives one device.
struct ShardPlan {
  uint32_t tensor = 1;
  uint32_t pipeline = 1;
  // Shape [pipeline], ascending, starts with 0; empty: only the engine knows.
  std::vector<uint32_t> stageFirstLayer;
  std::vector<Bytes> rankWeights;  // shape [tensor · pipeline], bytes of weights of each shard
  std::vector<Bytes> rankMemory;  // shape [tensor · pipeline], bytes reserved on the shard's device
  // Of the ranks of a stage, how many share the experts of a layer; each of them has whole experts,
  // cut over tensor / expert ranks. 1: every rank has its part of every expert.
  uint32_t expert = 1;
  WeightFormat format = WeightFormat::STORED;
  uint32_t worldSize() const { return tensor * pipeline; }
  bool operator==(const ShardPlan&) const = default;
};

struct RankPlacement {
  RankNumber rank;
  NodeName node;
  std::vector<DeviceIndex> devices;  // in the order of their shards
  Bytes memory;                      // reserved on each device
  bool operator==(const RankPlacement&) const = default;
};

struct Placement {
  std::vector<RankPlacement> ranks;  // shape [processes], by rank
  bool operator==(const Placement&) const = default;
};

}  // namespace muster

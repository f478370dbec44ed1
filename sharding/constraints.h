// What a gang wants, and the named rules that say which nodes and devices may serve it.
#pragma once

#include "protocol/deployment.h"
#include "protocol/engine_preset.h"
#include "protocol/plan.h"
#include "sharding/cluster_view.h"
#include "sharding/placer.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace muster::sharding {

enum class Sharing : uint8_t {
  SHARED,  // reserves memory; the rest of the device is others' to use
  WHOLE,   // takes empty devices and all of their memory
};

// The ranks of one replica, to be placed together or not at all.
struct GangWish {
  TenantName tenant;
  DeploymentName deployment;
  GpuRequirement gpu;
  DeviceNeed devices = DeviceNeed::ANY;
  PlacementRules rules;
  std::vector<NodeName> siblings;  // nodes of the deployment's other replicas
  Sharing sharing = Sharing::SHARED;
  ProcessShare share = ProcessShare::DEVICE;
  uint32_t tensor = 1;
  std::vector<Bytes> stageMemory;  // shape [stages]: what each rank of the stage needs, at least
  // Where stages want unlike GPUs what each one wants, shape [stages], and `gpu` is met by all that
  // one of them would take; see stage_kinds.h. Empty: all want `gpu`.
  std::vector<GpuRequirement> stageGpu;

  Bytes memoryMax() const;
  uint32_t world() const { return tensor * static_cast<uint32_t>(stageMemory.size()); }
};

// Whether the cluster is looked at as it is, or as if nothing ran on it and every node took work.
// What cannot be placed on the latter never can be.
enum class Occupancy : uint8_t { NOW, EMPTY };

// A device that may serve a rank of the gang.
struct Seat {
  const NodeView* node = nullptr;
  const DeviceView* device = nullptr;
  Bytes free;
  bool empty = true;  // nobody else uses the device
};

// The first rule that forbids the node as a whole, as a verdict; nothing when it may serve.
std::optional<NodeVerdict> refuseNode(const NodeView& node, const ClusterView& cluster,
                                      const GangWish& wish, Occupancy occupancy);

// Devices of the node that may serve a rank which needs `memory`.
std::vector<Seat> seatsOf(const NodeView& node, const GangWish& wish, Bytes memory,
                          Occupancy occupancy);

// Whether the device is of the kind asked for, however small or busy it is.
bool isRightKind(const DeviceView& device, const GangWish& wish);

// What the node says to the wish as things are now.
NodeVerdict judgeNode(const NodeView& node, const ClusterView& cluster, const GangWish& wish);

// judgeNode for every node, in the view's order; where stages want unlike GPUs, for those that the
// node suits best.
std::vector<NodeVerdict> judgeNodes(const ClusterView& cluster, const GangWish& wish);

}  // namespace muster::sharding

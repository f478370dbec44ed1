// What the planner sees of a cluster: a plain value that the coordinator makes from its state.
#pragma once

#include "base/ids.h"
#include "base/units.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace muster::sharding {

// Memory of a device promised to one rank.
struct DeviceUse {
  TenantName tenant;
  DeploymentName deployment;
  ReplicaNumber replica;
  RankNumber rank;
  Bytes memory;  // the whole device when the rank has it for itself
  bool operator==(const DeviceUse&) const = default;
};

struct DeviceView {
  DeviceIndex index;
  std::string type;             // "cpu", "H100"
  uint32_t island = 0;          // devices of one island of a node have a fast link
  Bytes memory;                 // what ranks may be promised
  std::vector<DeviceUse> uses;  // by rank
  std::string unhealthy;        // why it must not be used; empty: it may
  Bytes overhead;               // beside `memory`: what a process on it takes by itself
  bool operator==(const DeviceView&) const = default;
};

struct NodeView {
  NodeName name;
  std::string rack;                           // may be empty: unknown
  std::map<std::string, std::string> labels;  // "pool" and "fabric" are looked at
  // Why nothing new may go here: one word for the verdict ("cordoned", "draining", "health") and
  // the sentence shown with it; both empty when the node takes work.
  std::string closed;
  std::string closedDetail;
  std::vector<DeviceView> devices;  // ascending by index
  bool operator==(const NodeView&) const = default;
};

// What nobody has been promised; none when more was promised than is there.
inline Bytes freeMemoryOf(const DeviceView& device) {
  Bytes free = device.memory;
  for (const auto& use : device.uses) free = use.memory < free ? free - use.memory : Bytes{};
  return free;
}

// Empty when the node has no such label.
inline const std::string& labelOf(const NodeView& node, const char* name) {
  static const std::string NONE;
  auto label = node.labels.find(name);
  return label == node.labels.end() ? NONE : label->second;
}

struct ClusterView {
  std::vector<NodeView> nodes;  // ascending by name, all that are registered
  bool operator==(const ClusterView&) const = default;
};

}  // namespace muster::sharding

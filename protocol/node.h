// A node as its worker describes it.
#pragma once

#include "base/ids.h"
#include "base/units.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace muster {

struct DeviceInfo {
  DeviceIndex index;
  std::string type;  // "cpu", "H100"
  std::string uuid;  // stable across restarts
  Bytes memory;      // what the driver says is there in all
  uint32_t island =
      0;  // devices of one island reach each other by NVLink (CPU devices: by shared memory)
  std::string unhealthy = {};             // why it must not be used; empty: it may
  std::string product = {};               // the driver's name for it: "NVIDIA H100 80GB HBM3"
  std::string busId = {};                 // of PCI, "0000:1b:00.0"
  std::optional<uint32_t> numaNode = {};  // nothing: not known
  bool operator==(const DeviceInfo&) const = default;
};

// Everything but a declared CPU device is a GPU.
inline bool isGpu(const DeviceInfo& device) { return device.type != "cpu"; }

struct NodeInfo {
  NodeName name;
  std::string address;  // IP address other nodes' ranks reach this node by
  std::string rack;     // fault domain above the node; may be empty
  std::map<std::string, std::string> labels;
  std::vector<DeviceInfo> devices;  // ascending by index
  std::string version;              // of the agent
  std::string driver = {};          // version of the GPUs' driver; empty: no GPU
  bool operator==(const NodeInfo&) const = default;
};

// The devices that must not be used, and why.
std::map<DeviceIndex, std::string> unhealthyOf(const NodeInfo& node);
// Makes these, and no others, the devices that must not be used.
void setUnhealthy(NodeInfo& node, const std::map<DeviceIndex, std::string>& unhealthy);

}  // namespace muster

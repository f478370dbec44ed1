// A node as its worker describes it.
#pragma once

#include "base/ids.h"
#include "base/units.h"

#include <cstdint>
#include <map>
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
  bool operator==(const DeviceInfo&) const = default;
};

struct NodeInfo {
  NodeName name;
  std::string address;  // IP address other nodes' ranks reach this node by
  std::string rack;     // fault domain above the node; may be empty
  std::map<std::string, std::string> labels;
  std::vector<DeviceInfo> devices;  // ascending by index
  std::string version;              // of the agent
  bool operator==(const NodeInfo&) const = default;
};

}  // namespace muster

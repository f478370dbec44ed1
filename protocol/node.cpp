#include "protocol/node.h"

namespace muster {

std::map<DeviceIndex, std::string> unhealthyOf(const NodeInfo& node) {
  std::map<DeviceIndex, std::string> unhealthy;
  for (const DeviceInfo& device : node.devices) {
    if (!device.unhealthy.empty()) unhealthy[device.index] = device.unhealthy;
  }
  return unhealthy;
}

void setUnhealthy(NodeInfo& node, const std::map<DeviceIndex, std::string>& unhealthy) {
  for (DeviceInfo& device : node.devices) {
    auto why = unhealthy.find(device.index);
    device.unhealthy = why == unhealthy.end() ? "" : why->second;
  }
}

}  // namespace muster

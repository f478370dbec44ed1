// The GPUs of a machine as devices of its node.
#pragma once

#include "base/result.h"
#include "protocol/node.h"
#include "worker/gpu/gpu_driver.h"

#include <memory>
#include <string>
#include <vector>

namespace muster::worker {

// What `gpu.type` of a deployment names: "H100" of "NVIDIA H100 80GB HBM3", "RTX4090" of "NVIDIA
// GeForce RTX 4090". "unknown" when there is no name.
std::string gpuTypeOf(const std::string& product);

// Devices by index. GPUs that reach each other by NVLink, also over others, are one island; each
// other one is its own.
std::vector<DeviceInfo> devicesOf(const GpuInventory& inventory);

// Gives a node without declared devices the GPUs of its machine. Returns the driver, for their
// health; null when devices are declared, and then no driver is looked for. Refuses INVALID_VALUE
// when there are neither.
Result<std::shared_ptr<GpuDriver>> findDevices(NodeInfo& node);

}  // namespace muster::worker

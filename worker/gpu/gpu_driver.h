// What the agent asks the GPUs' driver: which GPUs there are, and how they are.
#pragma once

#include "base/ids.h"
#include "base/units.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace muster::worker {

struct FoundGpu {
  DeviceIndex index;    // the driver's own, by bus address
  std::string product;  // "NVIDIA H100 80GB HBM3"; empty when the driver cannot say
  std::string uuid;     // "GPU-8f0e..."
  std::string busId;    // "0000:1b:00.0"
  Bytes memory;         // that processes may use
  std::optional<uint32_t> numaNode;
  std::vector<DeviceIndex> linked;  // the others that it reaches by NVLink
  std::string trouble;              // why it must not be used; empty: it may
  bool operator==(const FoundGpu&) const = default;
};

struct GpuInventory {
  std::string driver;          // its version
  std::vector<FoundGpu> gpus;  // by index
};

// Calls may block for seconds, and for ever when the driver hangs. One thread at a time.
class GpuDriver {
 public:
  virtual ~GpuDriver() noexcept(false) = default;
  virtual GpuInventory inventory() = 0;
  // The GPUs that must not be used now, and why. What only a repair takes away stays until the
  // driver is opened anew.
  virtual std::map<DeviceIndex, std::string> troubles() = 0;
};

}  // namespace muster::worker

// NVIDIA's management library as a GpuDriver. It comes with the driver and is loaded when it is
// there; nothing of it is needed to build.
#pragma once

#include "base/result.h"
#include "worker/gpu/gpu_driver.h"

#include <memory>
#include <string>

namespace muster::worker {

inline constexpr const char* NVML_FILE = "libnvidia-ml.so.1";

// Refuses NOT_FOUND where there is no such library or no driver is loaded, and NOT_SUPPORTED_YET
// when the library lacks what we need. `file`: as dlopen wants it. `sysfs`: where the kernel says
// which NUMA node a bus address belongs to.
Result<std::shared_ptr<GpuDriver>> openNvml(const std::string& file = NVML_FILE,
                                            const std::string& sysfs = "/sys");

}  // namespace muster::worker

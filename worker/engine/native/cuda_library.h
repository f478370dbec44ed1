// libmuster_cuda.so, when it is there: looked for where a build and where the package puts it.
#pragma once

#include "base/result.h"
#include "worker/cuda/cuda_plugin.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace muster::worker {

// A GPU of this machine as the driver describes it.
struct CudaGpu {
  uint32_t index = 0;
  std::string name;   // "NVIDIA H200"
  std::string uuid;   // "GPU-8f0e..."
  std::string busId;  // "0000:1b:00.0"
  uint64_t totalBytes = 0;
  uint64_t freeBytes = 0;
};

// Where the library of the programs in `folder` may lie, best first: in that folder, where a build
// puts it, or in lib/muster beside it, where the package muster-engine-cuda does.
std::vector<std::string> gpuLibraryPlaces(const std::string& folder);

// The first of `places` that is there. Refuses NOT_FOUND and names all of them.
Result<std::string> findGpuLibrary(const std::vector<std::string>& places);

class CudaLibrary {
 public:
  // Refuses NOT_FOUND when there is no such file, NOT_SUPPORTED_YET when it, or a library it needs,
  // cannot be loaded or speaks another version; the text says which. `path`: empty for where it
  // lies beside the running program.
  static Result<std::shared_ptr<const CudaLibrary>> load(const std::string& path = "");

  const MusterCudaPlugin& functions() const { return *plugin_; }
  // None on a machine without a GPU or its driver. Throws when a GPU cannot be described.
  std::vector<CudaGpu> gpus() const;
  // Throws what the library said last, with `what` before it, when `succeeded` is false.
  void check(bool succeeded, const char* what) const;

 private:
  struct Close {
    void operator()(void* handle) const;
  };
  std::unique_ptr<void, Close> handle_;
  const MusterCudaPlugin* plugin_ = nullptr;
};

}  // namespace muster::worker

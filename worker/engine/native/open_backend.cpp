#include "worker/engine/native/open_backend.h"

#include "worker/engine/native/cpu_backend.h"
#include "worker/engine/native/cuda_backend.h"
#include "worker/engine/native/cuda_library.h"

#include <kj/debug.h>

#include <algorithm>
#include <vector>

namespace muster::worker {
namespace {

Refusal unusable(const std::string& gpu, const std::string& why, const std::string& remedy) {
  return {.code = RefusalCode::GPU_UNUSABLE,
          .text = gpu + " cannot be used by the native engine: " + why + "; " + remedy,
          .fixes = {remedy}};
}

Refusal noLibrary(const std::string& gpu, const Refusal& refusal) {
  bool isMissing = refusal.code == RefusalCode::NOT_FOUND;
  return unusable(gpu, refusal.text,
                  isMissing ? "install the package muster-engine-cuda, put the libmuster_cuda.so "
                              "of this version beside muster-rank, or choose another engine"
                            : "install CUDA's cuBLAS and NCCL and run ldconfig");
}

Refusal notSeen(const std::string& gpu, const std::vector<CudaGpu>& seen) {
  std::string others;
  for (const CudaGpu& other : seen) others += (others.empty() ? "" : ", ") + other.uuid;
  return unusable(
      gpu,
      seen.empty() ? "CUDA sees no GPU in this process" : "CUDA sees " + others + " in its place",
      "see whether nvidia-smi shows it and its driver is new enough for CUDA 13");
}

Result<kj::Own<Backend>> openGpu(std::shared_ptr<const CudaLibrary> library,
                                 const std::string& gpu) {
  auto seen = library->gpus();
  auto ours = std::ranges::find(seen, gpu, &CudaGpu::uuid);
  if (ours == seen.end()) return notSeen(gpu, seen);
  return makeCudaBackend(std::move(library), ours->index, ours->uuid);
}

}  // namespace

Result<kj::Own<Backend>> openBackend(const std::string& gpu, const std::string& library) {
  if (gpu.empty()) return makeCpuBackend();
  auto loaded = CudaLibrary::load(library);
  if (!loaded) return noLibrary(gpu, loaded.refusal());
  Result<kj::Own<Backend>> opened = Refusal{RefusalCode::INTERNAL, "not opened"};
  KJ_IF_MAYBE (why, kj::runCatchingExceptions([&] { opened = openGpu(*loaded, gpu); })) {
    return unusable(gpu, why->getDescription().cStr(), "see dmesg and nvidia-smi on this node");
  }
  return opened;
}

}  // namespace muster::worker

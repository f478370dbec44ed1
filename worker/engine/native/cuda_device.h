// An opened GPU and its memory: what the backend and the collectives on it share.
#pragma once

#include "worker/engine/native/backend.h"
#include "worker/engine/native/cuda_library.h"

#include <kj/debug.h>

#include <memory>
#include <utility>

namespace muster::worker {

class CudaDevice : public Backend {
 public:
  CudaDevice(std::shared_ptr<const CudaLibrary> library, uint32_t gpu)
      : library_(std::move(library)), gpu_(gpu), device_(call().open(gpu)) {
    check(device_ != nullptr, "a GPU cannot be opened");
  }
  ~CudaDevice() noexcept(false) override { call().close(device_); }
  KJ_DISALLOW_COPY(CudaDevice);

  std::string name() const override { return "cuda:" + std::to_string(gpu_); }
  MemoryKind memory() const override { return MemoryKind::DEVICE; }
  void* allocate(uint64_t bytes) override {
    void* memory = call().allocate(device_, bytes);
    check(memory != nullptr, "out of GPU memory");
    return memory;
  }
  void release(void* memory) override { call().release(device_, memory); }
  void upload(void* to, std::span<const std::byte> from) override {
    check(call().upload(device_, to, from.data(), from.size()), "copy to the GPU");
  }
  void download(std::span<std::byte> to, const void* from) override {
    check(call().download(device_, to.data(), from, to.size()), "copy from the GPU");
  }

  const MusterCudaPlugin& call() const { return library_->functions(); }
  MusterCudaDevice* device() const { return device_; }
  void check(bool succeeded, const char* what) const { library_->check(succeeded, what); }

 private:
  std::shared_ptr<const CudaLibrary> library_;
  uint32_t gpu_;
  MusterCudaDevice* device_;
};

}  // namespace muster::worker

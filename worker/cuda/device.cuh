// An opened GPU: its stream, its cuBLAS handle, and the memory that operations need meanwhile.
#pragma once

#include "worker/cuda/check.cuh"
#include "worker/cuda/cuda_plugin.h"

namespace muster::cuda {

// Device memory that grows and is kept for the next call.
class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { cudaFree(memory_); }

  // At least `bytes`; what was there before is gone. Waits for the device when it grows.
  void* room(uint64_t bytes);

 private:
  void* memory_ = nullptr;
  uint64_t bytes_ = 0;
};

// The step's rows, in device memory.
struct DeviceBatch {
  uint32_t rows = 0;
  uint32_t rotationPairs = 0;
  const uint32_t* tokens = nullptr;
  const float2* rotations = nullptr;
  const uint32_t* positions = nullptr;
  const uint32_t* firstBlocks = nullptr;
  const uint32_t* blocks = nullptr;
};

// All memory of a batch lies in one piece, so that a step costs one copy.
class BatchUpload {
 public:
  DeviceBatch take(const MusterCudaBatch& batch, cudaStream_t stream);

 private:
  Scratch memory_;
};

}  // namespace muster::cuda

struct MusterCudaDevice {
  explicit MusterCudaDevice(int number);
  MusterCudaDevice(const MusterCudaDevice&) = delete;
  MusterCudaDevice& operator=(const MusterCudaDevice&) = delete;
  ~MusterCudaDevice();

  // Operations of this thread go to this device from here on.
  void use() const { muster::cuda::cudaCheck(cudaSetDevice(number), "cudaSetDevice"); }

  int number = 0;
  cudaStream_t stream = nullptr;
  cublasHandle_t cublas = nullptr;
  muster::cuda::BatchUpload upload;
  muster::cuda::DeviceBatch batch;
  muster::cuda::Scratch converted;  // activations in the weights' type
  muster::cuda::Scratch widened;    // INT8 weights as floats
  muster::cuda::Scratch rows;       // row numbers and factors of gathers
};

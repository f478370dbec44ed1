// How kernels are launched: grids that cover all elements, and the check afterwards.
#pragma once

#include "worker/cuda/check.cuh"

#include <cstdint>

namespace muster::cuda {

inline constexpr uint32_t THREADS = 256;  // of a block; a multiple of the warp
inline constexpr uint32_t WARP = 32;

inline uint32_t blocksFor(uint64_t elements) {
  return static_cast<uint32_t>((elements + THREADS - 1) / THREADS);
}

inline void launched(const char* kernel) { cudaCheck(cudaGetLastError(), kernel); }

// This thread's element of a one-dimensional grid.
__device__ inline uint64_t elementIndex() {
  return uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
}

__device__ inline float warpSum(float value) {
  for (uint32_t offset = WARP / 2; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, offset);
  }
  return value;
}

}  // namespace muster::cuda

// Stored elements as floats on the device; the conversions are those of the CPU.
#pragma once

#include "worker/cuda/cuda_plugin.h"
#include "worker/engine/native/element_math.h"

#include <stdexcept>

namespace muster::cuda {

struct F32Elements {
  using Stored = float;
  __device__ static float load(float stored) { return stored; }
  __device__ static float round(float value) { return value; }
};
struct F16Elements {
  using Stored = uint16_t;
  __device__ static float load(uint16_t stored) { return worker::halfToFloat(stored); }
  __device__ static uint16_t round(float value) { return worker::floatToHalf(value); }
};
struct BF16Elements {
  using Stored = uint16_t;
  __device__ static float load(uint16_t stored) { return worker::bfloatToFloat(stored); }
  __device__ static uint16_t round(float value) { return worker::floatToBfloat(value); }
};

inline constexpr uint32_t INT8_BLOCK_COLUMNS = 32;  // that share a scale

// Calls `body` with the elements of a type that is no INT8.
template <class Body>
void withElements(MusterCudaType type, Body body) {
  switch (type) {
    case MUSTER_F32:
      return body(F32Elements{});
    case MUSTER_F16:
      return body(F16Elements{});
    case MUSTER_BF16:
      return body(BF16Elements{});
    case MUSTER_INT8:
      break;
  }
  throw std::runtime_error("such elements are weights of a product only");
}

}  // namespace muster::cuda

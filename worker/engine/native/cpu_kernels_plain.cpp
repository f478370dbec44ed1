// Four lanes in the compiler's own vector type: any CPU, and what the others are tested against.
#include "worker/engine/native/element_math.h"

#include <cstddef>
#include <cstdint>

namespace muster::worker {
namespace {

struct Lanes {
  using Float = float __attribute__((vector_size(16)));
  using Whole = int32_t __attribute__((vector_size(16)));
  static constexpr size_t COUNT = 4;
  static constexpr size_t ROWS = 2;
  static constexpr size_t OUTS = 4;
  static constexpr size_t OUTS_OF_ONE_ROW = 4;

  static Float zero() { return Float{}; }
  static Float all(float value) { return Float{value, value, value, value}; }
  static Float load(const float* from) { return Float{from[0], from[1], from[2], from[3]}; }
  static void store(float* to, Float value) {
    for (size_t i = 0; i < COUNT; ++i) to[i] = value[i];
  }
  static Float loadF16(const uint16_t* from) {
    return Float{oneF16(from[0]), oneF16(from[1]), oneF16(from[2]), oneF16(from[3])};
  }
  static Float loadBf16(const uint16_t* from) {
    return Float{bfloatToFloat(from[0]), bfloatToFloat(from[1]), bfloatToFloat(from[2]),
                 bfloatToFloat(from[3])};
  }
  static Float loadInt8(const int8_t* from) {
    return __builtin_convertvector((Whole{from[0], from[1], from[2], from[3]}), Float);
  }
  static float oneF16(uint16_t half) { return halfToFloat(half); }
  static Float multiplyAdd(Float a, Float b, Float c) { return a * b + c; }
  static Float min(Float a, Float b) { return a < b ? a : b; }
  static Float max(Float a, Float b) { return a > b ? a : b; }
  static float sum(Float value) { return (value[0] + value[2]) + (value[1] + value[3]); }
  // Adding 1.5 * 2^23 leaves no bits for a fraction.
  static Float nearest(Float value) {
    const Float shift = all(12582912.0f);
    return (value + shift) - shift;
  }
  // `power` is a whole number within a float's exponents.
  static Float timesPowerOfTwo(Float value, Float power) {
    return reinterpret_cast<Float>(reinterpret_cast<Whole>(value) +
                                   (__builtin_convertvector(power, Whole) << 23));
  }
};

}  // namespace
}  // namespace muster::worker

#include "worker/engine/native/cpu_kernels_body.h"

namespace muster::worker {

const CpuKernels& plainKernels() {
  static constexpr CpuKernels KERNELS{"plain", multiply, addWeightedRows, exponentials, gate};
  return KERNELS;
}

}  // namespace muster::worker

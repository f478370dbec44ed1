// What happens to single numbers, alike on every device: element-wise bodies of kernels and the
// conversions of stored elements.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define MUSTER_HOST_DEVICE __host__ __device__
#else
#define MUSTER_HOST_DEVICE
#endif

namespace muster::worker {

MUSTER_HOST_DEVICE inline float bfloatToFloat(uint16_t bits) {
  return __builtin_bit_cast(float, static_cast<uint32_t>(bits) << 16);
}

// Rounds to nearest, ties to even. `value` is finite.
MUSTER_HOST_DEVICE inline uint16_t floatToBfloat(float value) {
  const auto bits = __builtin_bit_cast(uint32_t, value);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// Any IEEE half, subnormal and infinite ones too.
MUSTER_HOST_DEVICE inline float halfToFloat(uint16_t bits) {
  const uint32_t sign = (bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu;
  const uint32_t fraction = bits & 0x3ffu;
  if (exponent == 0) {  // fraction * 2^-24
    const float value = static_cast<float>(fraction) * 0x1p-24f;
    return __builtin_bit_cast(float, __builtin_bit_cast(uint32_t, value) | sign);
  }
  const uint32_t wide = exponent == 0x1f ? 0xffu : exponent + (127 - 15);
  return __builtin_bit_cast(float, sign | (wide << 23) | (fraction << 13));
}

// Rounds to nearest, ties to even; what is too large becomes infinite. `value` is finite.
MUSTER_HOST_DEVICE inline uint16_t floatToHalf(float value) {
  const auto bits = __builtin_bit_cast(uint32_t, value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {  // below 2^-14: at 0.5 a float's last bit is worth 2^-24
    const float aligned = __builtin_bit_cast(float, magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (__builtin_bit_cast(uint32_t, aligned) - 0x3f000000u));
  }
  const uint32_t odd = (magnitude >> 13) & 1;
  return static_cast<uint16_t>(sign | ((magnitude - (112u << 23) + 0xfff + odd) >> 13));
}

// x * sigmoid(x)
MUSTER_HOST_DEVICE inline float silu(float x) { return x / (1.0f + __builtin_expf(-x)); }

// One number of a normed row; `inverse`: 1 / sqrt(mean of squares + epsilon).
MUSTER_HOST_DEVICE inline float normed(float value, float inverse, float weight) {
  return value * inverse * weight;
}

// Turns the pair (x, y).
MUSTER_HOST_DEVICE inline void rotatePair(float& x, float& y, float cosine, float sine) {
  const float turned = x * cosine - y * sine;
  y = y * cosine + x * sine;
  x = turned;
}

}  // namespace muster::worker

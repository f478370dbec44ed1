// Sixteen lanes. Compiled with AVX-512 F, BW, DQ and VL; called only where the CPU has them.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace muster::worker {
namespace {

struct Lanes {
  using Float = __m512;
  static constexpr size_t COUNT = 16;
  static constexpr size_t ROWS = 4;  // 24 sums, 6 weights and an input fill 31 of 32 registers
  static constexpr size_t OUTS = 6;
  static constexpr size_t OUTS_OF_ONE_ROW = 4;

  static Float zero() { return _mm512_setzero_ps(); }
  static Float all(float value) { return _mm512_set1_ps(value); }
  static Float load(const float* from) { return _mm512_loadu_ps(from); }
  static void store(float* to, Float value) { _mm512_storeu_ps(to, value); }
  static Float loadF16(const uint16_t* from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static Float loadBf16(const uint16_t* from) {
    __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
  }
  static Float loadInt8(const int8_t* from) {
    __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
  }
  static float oneF16(uint16_t half) {
    return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
  }
  static Float multiplyAdd(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float min(Float a, Float b) { return _mm512_min_ps(a, b); }
  static Float max(Float a, Float b) { return _mm512_max_ps(a, b); }
  static float sum(Float value) { return _mm512_reduce_add_ps(value); }
  static Float nearest(Float value) {
    return _mm512_roundscale_ps(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static Float timesPowerOfTwo(Float value, Float power) { return _mm512_scalef_ps(value, power); }
};

}  // namespace
}  // namespace muster::worker

#include "worker/engine/native/cpu_kernels_body.h"

namespace muster::worker {

const CpuKernels& avx512Kernels() {
  static constexpr CpuKernels KERNELS{"avx512", multiply, addWeightedRows, exponentials, gate};
  return KERNELS;
}

}  // namespace muster::worker

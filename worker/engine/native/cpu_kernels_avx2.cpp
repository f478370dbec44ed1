// Eight lanes. Compiled with AVX2, FMA and F16C; called only where the CPU has them.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace muster::worker {
namespace {

struct Lanes {
  using Float = __m256;
  static constexpr size_t COUNT = 8;
  static constexpr size_t ROWS = 3;  // 12 sums leave 4 of 16 registers
  static constexpr size_t OUTS = 4;
  static constexpr size_t OUTS_OF_ONE_ROW = 4;

  static Float zero() { return _mm256_setzero_ps(); }
  static Float all(float value) { return _mm256_set1_ps(value); }
  static Float load(const float* from) { return _mm256_loadu_ps(from); }
  static void store(float* to, Float value) { _mm256_storeu_ps(to, value); }
  static Float loadF16(const uint16_t* from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static Float loadBf16(const uint16_t* from) {
    __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  }
  static Float loadInt8(const int8_t* from) {
    __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
  }
  static float oneF16(uint16_t half) {
    return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
  }
  static Float multiplyAdd(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static Float min(Float a, Float b) { return _mm256_min_ps(a, b); }
  static Float max(Float a, Float b) { return _mm256_max_ps(a, b); }
  static float sum(Float value) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(value), _mm256_extractf128_ps(value, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  static Float nearest(Float value) {
    return _mm256_round_ps(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  // `power` is a whole number within a float's exponents.
  static Float timesPowerOfTwo(Float value, Float power) {
    __m256i bits = _mm256_slli_epi32(_mm256_cvtps_epi32(power), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(value), bits));
  }
};

}  // namespace
}  // namespace muster::worker

#include "worker/engine/native/cpu_kernels_body.h"

namespace muster::worker {

const CpuKernels& avx2Kernels() {
  static constexpr CpuKernels KERNELS{"avx2", multiply, addWeightedRows, exponentials, gate};
  return KERNELS;
}

}  // namespace muster::worker

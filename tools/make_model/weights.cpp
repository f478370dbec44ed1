#include "tools/make_model/weights.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <numbers>
#include <utility>

namespace muster::sample {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian");

// Two independent standard normals from 64 random bits: 32 for the radius, 32 for the angle.
std::pair<float, float> normalPair(SeededRandom& random) {
  const uint64_t bits = random.next();
  const float uniform = (static_cast<float>(bits >> 40) + 1.0f) * 0x1p-24f;  // in (0, 1]
  const float angle =
      static_cast<float>(bits & 0xffffff) * (2 * std::numbers::pi_v<float> * 0x1p-24f);
  const float radius = std::sqrt(-2.0f * std::log(uniform));
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

template <class Element, class Convert>
void fill(std::span<std::byte> out, float scale, SeededRandom& random, Convert convert) {
  const auto put = [&out, &convert](size_t index, float value) {
    const Element element = convert(value);
    std::memcpy(out.data() + index * sizeof(Element), &element, sizeof(Element));
  };
  const size_t count = out.size() / sizeof(Element);
  for (size_t i = 0; i < count; i += 2) {
    const auto [first, second] = scale == 0 ? std::pair(1.0f, 1.0f) : normalPair(random);
    const float factor = scale == 0 ? 1.0f : scale;
    put(i, first * factor);
    if (i + 1 < count) put(i + 1, second * factor);
  }
}

}  // namespace

uint16_t toBfloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

uint16_t toHalf(float value) {
  constexpr uint32_t SMALLEST_NORMAL = 0x38800000;  // 2^-14 as float bits
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000;
  uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude <
      SMALLEST_NORMAL) {  // at 0.5 a float's last bit is worth 2^-24, as a subnormal half's
    const float aligned = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(aligned) - 0x3f000000));
  }
  const uint32_t odd = (magnitude >> 13) & 1;
  magnitude -= (127 - 15) << 23;  // the exponent's bias
  return static_cast<uint16_t>(sign | ((magnitude + 0xfff + odd) >> 13));
}

void fillNormal(std::span<std::byte> out, Dtype dtype, double scale, SeededRandom& random) {
  const auto factor = static_cast<float>(scale);
  switch (dtype) {
    case Dtype::BF16:
      return fill<uint16_t>(out, factor, random, toBfloat16);
    case Dtype::F16:
      return fill<uint16_t>(out, factor, random, toHalf);
    case Dtype::F32:
      return fill<float>(out, factor, random, [](float value) { return value; });
  }
}

}  // namespace muster::sample

// Normal random weights as the bytes that stand in a safetensors file.
#pragma once

#include "base/random.h"
#include "tools/make_model/llama.h"

#include <cstddef>
#include <span>

namespace muster::sample {

// The 16 bits of `value` in bfloat16 and in IEEE half precision, rounded to nearest, ties to even.
// `value` is finite; toHalf wants |value| < 65504.
uint16_t toBfloat16(float value);
uint16_t toHalf(float value);

// Fills `out` with little-endian elements of normal(0, scale); with 1 when `scale` is 0.
// `out.size()` is a multiple of the element's size. Source: Box and Muller, 1958.
void fillNormal(std::span<std::byte> out, Dtype dtype, double scale, SeededRandom& random);

}  // namespace muster::sample

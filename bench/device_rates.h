// What a device can do at most, measured through the same operations that the engine uses.
#pragma once

#include "worker/engine/native/backend.h"

#include <cstdint>

namespace muster::bench {

// Bytes per second that the device moves while it adds one vector to another: two are read, one is
// written. `elements`: floats of a vector; more than its caches hold.
double deviceMemoryRate(worker::Backend& backend, uint64_t elements);

// Operations per second (two for each product that is added) of square bf16 weights, `width` wide,
// times `width` rows.
double deviceMatrixRate(worker::Backend& backend, uint32_t width);

}  // namespace muster::bench

// Cluster time that saturates: a command may carry any number, and apply must not overflow on it.
#pragma once

#include "base/units.h"

#include <cstdint>
#include <limits>

namespace muster::coordinator {

inline Instant later(Instant time, Duration by) {
  int64_t sum = 0;
  if (!__builtin_add_overflow(time.nanos, by.nanos, &sum)) return {sum};
  return {by.nanos > 0 ? std::numeric_limits<int64_t>::max() : std::numeric_limits<int64_t>::min()};
}

inline Duration elapsed(Instant from, Instant to) {
  int64_t difference = 0;
  if (!__builtin_sub_overflow(to.nanos, from.nanos, &difference)) return {difference};
  return {to > from ? std::numeric_limits<int64_t>::max() : std::numeric_limits<int64_t>::min()};
}

}  // namespace muster::coordinator

// How fast a snapshot is written: slowly, so that commits do not wait for it, unless it is overdue.
#pragma once

#include "base/units.h"

#include <algorithm>
#include <cstdint>

namespace muster::failover {

// Bytes a second. `timesDue`: by how many times the growth that makes a snapshot due the log has
// grown since the last one. When it is four or more, writers have died before they came to the end,
// and what is written faster ends sooner; at most at eight times the usual `rate`.
inline Bytes snapshotRate(Bytes rate, uint64_t timesDue) {
  constexpr uint64_t OVERDUE = 4;
  constexpr uint64_t GAIN_MAX = 8;
  uint64_t gain = timesDue < OVERDUE ? 1 : std::clamp<uint64_t>(timesDue / 2, 2, GAIN_MAX);
  return {rate.count * gain};
}

}  // namespace muster::failover

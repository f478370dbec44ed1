// The clock of the gateway's threads. They wait through asio, whose timers follow the same one.
#pragma once

#include "base/units.h"

#include <chrono>

namespace muster::gateway {

inline SteadyTime monotonicNow() {
  return {std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count()};
}

}  // namespace muster::gateway

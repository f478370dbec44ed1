// Time as a thing handed in: production reads the kernel, the simulation its own virtual clock.
#pragma once

#include "base/units.h"

namespace muster {

// Waiting goes through kj::Timer, which is handed in beside this.
class Clock {
 public:
  virtual ~Clock() noexcept(false) = default;
  virtual SteadyTime steadyNow() const = 0;  // goes on while the machine sleeps (CLOCK_BOOTTIME)
  virtual WallTime wallNow() const = 0;      // for display only
};

// The kernel's clocks.
class SystemClock final : public Clock {
 public:
  SteadyTime steadyNow() const override;
  WallTime wallNow() const override;
};

}  // namespace muster

#include "base/clock.h"

#include <kj/debug.h>

#include <time.h>

namespace muster {
namespace {

int64_t nanosOf(clockid_t clock) {
  timespec now{};
  KJ_SYSCALL(clock_gettime(clock, &now));
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

SteadyTime SystemClock::steadyNow() const { return {nanosOf(CLOCK_BOOTTIME)}; }
WallTime SystemClock::wallNow() const { return {nanosOf(CLOCK_REALTIME) / 1'000'000}; }

}  // namespace muster

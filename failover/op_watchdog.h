// The rule against ZooKeeper 3.8.0's lost wake-up: a lone write may hang on an ensemble until any
// other request comes on the same session (ZOOKEEPER-4537). Pure: the adapter asks it when to send
// such a request.
#pragma once

#include "base/units.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace muster::failover {

// Median of the newest 63 latencies.
class RunningMedian {
 public:
  void add(Duration latency) {
    ring_[next_++ % ring_.size()] = latency;
    count_ = std::min(count_ + 1, ring_.size());
  }
  Duration value() const {  // 0 before the first
    if (count_ == 0) return Duration{0};
    auto sorted = ring_;
    auto middle = sorted.begin() + static_cast<ptrdiff_t>(count_ / 2);
    std::nth_element(sorted.begin(), middle, sorted.begin() + static_cast<ptrdiff_t>(count_));
    return *middle;
  }

 private:
  std::array<Duration, 63> ring_{};
  size_t next_ = 0;
  size_t count_ = 0;
};

constexpr Duration WATCHDOG_AGE_MIN = 30_ms;
constexpr Duration WATCHDOG_REPEAT = 100_ms;

// Age from which an outstanding op counts as stuck.
constexpr Duration watchdogAge(Duration median) { return std::max(WATCHDOG_AGE_MIN, median * 5); }

}  // namespace muster::failover

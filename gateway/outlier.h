// Whether a replica is left out for a while because it failed again and again. Pure.
#pragma once

#include "base/units.h"

#include <algorithm>
#include <cstdint>

namespace muster::gateway {

struct OutlierRules {
  uint32_t failures = 3;  // in a row, until it is left out; at least 1
  Duration ejection = 1_s;
  Duration ejectionMax = 60_s;
};

// A replica is left out for a time that doubles with each ejection in a row. When the time is over
// it gets requests again; the next failure leaves it out at once, the next success clears it.
class Outlier {
 public:
  bool isEjected(SteadyTime now) const { return now < until_; }
  SteadyTime ejectedUntil() const { return until_; }
  uint32_t ejections() const { return ejections_; }

  void succeeded() {
    failures_ = 0;
    ejections_ = 0;
    until_ = {};
  }
  // True when it is left out from now on.
  bool failed(const OutlierRules& rules, SteadyTime now) {
    if (isEjected(now)) return false;  // of a request that began before
    ++failures_;
    if (failures_ < rules.failures && ejections_ == 0) return false;
    uint32_t doublings = std::min(ejections_, 20u);
    Duration time = std::min(rules.ejection * (int64_t{1} << doublings), rules.ejectionMax);
    ++ejections_;
    until_ = now + time;
    return true;
  }

 private:
  uint32_t failures_ = 0;   // in a row
  uint32_t ejections_ = 0;  // in a row
  SteadyTime until_;
};

}  // namespace muster::gateway

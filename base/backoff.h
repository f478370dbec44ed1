// How long to wait before the next try: exponential with full jitter, so that many clients do not
// come back at once. Source: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog,
// 2015.
#pragma once

#include "base/random.h"
#include "base/units.h"

#include <algorithm>
#include <cstdint>

namespace muster {

struct BackoffPolicy {
  Duration delayMin{50'000'000};     // upper limit of the first delay
  Duration delayMax{5'000'000'000};  // upper limit of every delay
};

class Backoff {
 public:
  // `random` must outlive this.
  Backoff(BackoffPolicy policy, Random& random) : policy_(policy), random_(random) {}

  // Uniform in (0, min(delayMax, delayMin * 2^tries)].
  Duration next() {
    auto limit = policy_.delayMax;
    if (tries_ < 40)
      limit = std::min(limit, Duration{policy_.delayMin.nanos << std::min(tries_, 20u)});
    tries_++;
    auto nanos = random_.below(static_cast<uint64_t>(std::max<int64_t>(limit.nanos, 1)));
    return {static_cast<int64_t>(nanos) + 1};
  }

  // After a success: the next delay is short again.
  void reset() { tries_ = 0; }
  uint32_t tries() const { return tries_; }

 private:
  BackoffPolicy policy_;
  Random& random_;
  uint32_t tries_ = 0;
};

}  // namespace muster

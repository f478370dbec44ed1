// Cluster time: goes on from the last logged time by the process's own steady clock. No wall clock
// is asked, so a jump of one changes nothing; a new leader starts where the log ends.
#pragma once

#include "base/clock.h"
#include "base/units.h"

namespace muster::coordinator {

class ClusterClock {
 public:
  // `logged`: cluster time of the newest batch; it is taken to be now.
  ClusterClock(const Clock& clock, Instant logged)
      : clock_(clock), base_(logged), started_(clock.steadyNow()) {}

  Instant now() const { return at(clock_.steadyNow()); }
  Instant at(SteadyTime time) const { return base_ + (time - started_); }

  // A standby hears of newer batches: never goes back.
  void atLeast(Instant logged) {
    if (logged <= now()) return;
    base_ = logged;
    started_ = clock_.steadyNow();
  }

 private:
  const Clock& clock_;
  Instant base_;
  SteadyTime started_;
};

}  // namespace muster::coordinator

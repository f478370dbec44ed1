// Notices that something makes no progress. Pure: time is handed in.
#pragma once

#include "base/units.h"

#include <cstdint>

namespace muster::worker {

class StallWatch {
 public:
  StallWatch(Duration patience, SteadyTime now) : patience_(patience), lastProgress_(now) {}

  // `measure`: anything that changes when there is progress: bytes loaded, bytes printed.
  void observe(uint64_t measure, SteadyTime now) {
    if (measure == measure_) return;
    measure_ = measure;
    lastProgress_ = now;
  }
  void progressed(SteadyTime now) { lastProgress_ = now; }
  bool stalled(SteadyTime now) const { return now - lastProgress_ >= patience_; }
  Duration quietFor(SteadyTime now) const { return now - lastProgress_; }

 private:
  Duration patience_;
  SteadyTime lastProgress_;
  uint64_t measure_ = 0;
};

}  // namespace muster::worker

// How long this node may count on its leader. Pure.
//
// The leader says how much is left when it answers; we count from the sending of the request it
// answered, which was earlier, and take only 0.8 of it: so our lease ends before the leader's view
// of it does, even when the clocks' rates differ by a tenth.
#pragma once

#include "base/units.h"
#include "protocol/order.h"

#include <optional>

namespace muster::worker {

class Lease {
 public:
  // Takes the answer to a heartbeat sent at `sentAt` (CLOCK_BOOTTIME). `highest`: the highest token
  // seen, that of the answer included. Only a leading coordinator of that token extends; nothing
  // shortens. Returns whether the answer came from such a leader.
  bool take(SteadyTime sentAt, const HeartbeatAnswer& answer, const FencingToken& highest);

  bool held(SteadyTime now) const { return end_ && now < *end_; }
  // Nothing when there never was one.
  std::optional<SteadyTime> end() const { return end_; }

 private:
  std::optional<SteadyTime> end_;
};

// Without a lease the deployments of a node go on without limit; its jobs must have stopped.
enum class LeaseState { NONE_YET, HELD, EXPIRED };

LeaseState stateOf(const Lease& lease, SteadyTime now);

}  // namespace muster::worker

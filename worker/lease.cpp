#include "worker/lease.h"

namespace muster::worker {

bool Lease::take(SteadyTime sentAt, const HeartbeatAnswer& answer, const FencingToken& highest) {
  if (!answer.leading || answer.token < highest) return false;
  if (answer.leaseRemaining.nanos <= 0) return true;
  SteadyTime end = sentAt + answer.leaseRemaining / 5 * 4;
  if (!end_ || *end_ < end) end_ = end;
  return true;
}

LeaseState stateOf(const Lease& lease, SteadyTime now) {
  if (!lease.end()) return LeaseState::NONE_YET;
  return lease.held(now) ? LeaseState::HELD : LeaseState::EXPIRED;
}

}  // namespace muster::worker

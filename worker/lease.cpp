#include "worker/lease.h"

#include "base/planted_bug.h"

namespace muster::worker {

bool Lease::take(SteadyTime sentAt, const HeartbeatAnswer& answer, const FencingToken& highest) {
  if (!answer.leading || answer.token < highest) return false;
  if (answer.leaseRemaining.nanos <= 0) return true;
  Duration counted = answer.leaseRemaining / 5 * 4;
  if (MUSTER_PLANTED_BUG(LEASE_TOO_LONG)) counted = answer.leaseRemaining / 5 * 7;
  SteadyTime end = sentAt + counted;
  if (!end_ || *end_ < end) end_ = end;
  return true;
}

LeaseState stateOf(const Lease& lease, SteadyTime now) {
  if (!lease.end()) return LeaseState::NONE_YET;
  return lease.held(now) ? LeaseState::HELD : LeaseState::EXPIRED;
}

}  // namespace muster::worker

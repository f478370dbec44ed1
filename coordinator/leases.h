// How long each node may count on its leader. A lease never makes a read linearizable and fences
// nobody: it bounds how long work that must not run twice goes on without a leader.
#pragma once

#include "base/ids.h"
#include "base/units.h"
#include "coordinator/core/limits.h"

#include <map>
#include <optional>

namespace muster::coordinator {

constexpr Duration TAKEOVER_GRANT = TAKEOVER_LEASE;

// The leader's book of leases, in cluster time, of one leadership.
class LeaseBook {
 public:
  // `takeover`: when this leadership began. Every node has a full lease + 20 % from then, because
  // it may just have got one from the leader before.
  explicit LeaseBook(Instant takeover) : takeover_(takeover) {}

  // Shortens the grant of the takeover where the leader before logged what was left of the lease
  // when it suspected the node. Never lengthens a lease.
  void limitGrant(const NodeName& node, Duration suspectRemaining);

  // Answers a heartbeat: the lease reaches to `checkSent` + LEASE, `checkSent` being when the
  // newest epoch check that has committed was sent. Never shortens a lease. Returns what the answer
  // says: time left at `now`, at least 0.
  Duration extend(const NodeName& node, Instant checkSent, Instant now);

  // When the node's lease ends, as this leader has to believe.
  Instant end(const NodeName& node) const;

 private:
  Instant takeover_;
  std::map<NodeName, Instant> ends_;
};

}  // namespace muster::coordinator

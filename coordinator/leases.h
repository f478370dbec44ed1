// How long each node may count on its leader. A lease never makes a read linearizable and fences
// nobody: it bounds how long work that must not run twice goes on without a leader.
#pragma once

#include "base/ids.h"
#include "base/units.h"
#include "coordinator/core/limits.h"
#include "coordinator/core/state.h"

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

// Which nodes the log, committed, calls Ready. What was left of an unreachable node's lease stands
// in the log and bounds what the next leader waits for, so such a node gets no more of it until its
// return is committed.
class ReadyBook {
 public:
  // `node`: as it is applied now, nullptr when it is unknown; `applied`, `committed`: the newest of
  // each. False may come a moment too long, true never too early.
  bool isReady(const NodeName& name, const NodeState* node, LogIndex applied, LogIndex committed);

 private:
  struct Stay {
    Instant since;   // of the node's reachability: tells one stay in Ready from the next
    LogIndex index;  // the stay had begun here, at the latest
  };
  std::map<NodeName, Stay> stays_;
};

}  // namespace muster::coordinator

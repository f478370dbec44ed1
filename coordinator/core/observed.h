// What the leader sees and never logs: which agents are attached, their leases, what their ranks
// say.
#pragma once

#include "base/ids.h"
#include "base/units.h"
#include "protocol/order.h"

#include <map>
#include <optional>

namespace muster::coordinator {

struct ObservedNode {
  bool attached = false;          // in this epoch, with a live connection
  Incarnation agent;              // of the newest hello
  std::optional<NodeInfo> hello;  // as the newest hello or heartbeat in this epoch describes it
  std::optional<Instant>
      brokenSince;  // the connection of this leadership broke and has not come back
  // When it counts as silent: a full lease after it was last heard, and never before the lease it
  // was given ends.
  Instant leaseEnd;
  std::map<RankRef, RankReport> ranks;  // of the newest hello or heartbeat
  OrderStamp reported;                  // newest order it had stored when it reported `ranks`
  OrderStamp obeyed;                    // newest order the agent has stored
  OrderStamp sent;  // newest order sent to it over the present connection; zero after an attach
};

struct Observed {
  FencingToken token;    // of this leadership
  Instant leadingSince;  // cluster time of the takeover
  std::map<NodeName, ObservedNode> nodes;
};

}  // namespace muster::coordinator

#include "coordinator/leases.h"

#include <algorithm>

namespace muster::coordinator {

void LeaseBook::limitGrant(const NodeName& node, Duration suspectRemaining) {
  Instant limited = takeover_ + std::clamp(suspectRemaining, Duration{0}, TAKEOVER_GRANT);
  if (!ends_.contains(node)) ends_.emplace(node, limited);
}

Duration LeaseBook::extend(const NodeName& node, Instant checkSent, Instant now) {
  Instant proven = checkSent + LEASE;
  Instant& known = ends_.try_emplace(node, takeover_ + TAKEOVER_GRANT).first->second;
  known = std::max(known, proven);
  return std::max(proven - now, Duration{0});
}

Instant LeaseBook::end(const NodeName& node) const {
  auto found = ends_.find(node);
  return found == ends_.end() ? takeover_ + TAKEOVER_GRANT : found->second;
}

bool ReadyBook::isReady(const NodeName& name, const NodeState* node, LogIndex applied,
                        LogIndex committed) {
  if (node == nullptr || node->reachability != NodePhase::READY) {
    stays_.erase(name);
    return false;
  }
  Stay& stay = stays_.try_emplace(name, Stay{node->since, applied}).first->second;
  // A node that was away and came back between two heartbeats was never seen here without Ready.
  if (stay.since != node->since) stay = {node->since, applied};
  return committed >= stay.index;
}

}  // namespace muster::coordinator

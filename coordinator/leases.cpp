#include "coordinator/leases.h"

#include <algorithm>

namespace muster::coordinator {

void LeaseBook::limitGrant(const NodeName& node, Duration suspectRemaining) {
  Instant limited = takeover_ + std::clamp(suspectRemaining, Duration{0}, TAKEOVER_GRANT);
  if (!ends_.contains(node)) ends_.emplace(node, limited);
}

Duration LeaseBook::extend(const NodeName& node, Instant checkSent, Instant now) {
  Instant proven = checkSent + LEASE;
  ends_[node] = std::max(end(node), proven);
  return std::max(proven - now, Duration{0});
}

Instant LeaseBook::end(const NodeName& node) const {
  auto found = ends_.find(node);
  return found == ends_.end() ? takeover_ + TAKEOVER_GRANT : found->second;
}

}  // namespace muster::coordinator

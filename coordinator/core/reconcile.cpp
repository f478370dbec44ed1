#include "coordinator/core/reconcile_topics.h"

#include <algorithm>

namespace muster::coordinator {

void Look::wakeAt(Instant when) {
  if (when <= now) return;
  effects.wakeAt = effects.wakeAt ? std::min(*effects.wakeAt, when) : when;
}

void Look::retire(const GenerationRef& ref, Reason reason, std::string message) {
  if (!retiring.insert(ref).second) return;
  propose(ReplicaRetired{ref.deployment, ref.replica, ref.generation, reason, std::move(message)});
}

const ObservedNode* Look::attached(const NodeName& node) const {
  auto seen = observed.nodes.find(node);
  if (seen == observed.nodes.end() || !seen->second.attached) return nullptr;
  return now < seen->second.leaseEnd ? &seen->second : nullptr;
}

// Nodes first: when one changed, what the others need is asked again once that is applied.
Effects reconcile(const State& state, const Observed& observed, Instant now, Random& random) {
  Look look{state, observed, now, random, {}, {}, {}};
  reconcileNodes(look);
  bool nodesChanged = !look.effects.proposals.empty();
  reconcileRanks(look);
  reconcileRetirement(look);
  reconcileDrains(look);
  if (!nodesChanged) reconcilePlacement(look);
  reconcileOrders(look);
  return std::move(look.effects);
}

}  // namespace muster::coordinator

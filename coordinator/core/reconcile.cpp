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

GroupSecret drawSecret(Random& random) {
  GroupSecret secret{};
  for (size_t i = 0; i < secret.size(); i += sizeof(uint64_t)) {
    uint64_t bits = random.next();
    for (size_t j = 0; j < sizeof bits; ++j) secret[i + j] = static_cast<uint8_t>(bits >> (8 * j));
  }
  return secret;
}

Effects reconcile(const State& state, const Observed& observed, Instant now, Random& random) {
  ClusterIndex index;
  return reconcile(state, observed, now, random, index);
}

// Nodes first: when one changed, what the others need is asked again once that is applied.
Effects reconcile(const State& state, const Observed& observed, Instant now, Random& random,
                  ClusterIndex& index) {
  Look look{state, observed, now, random, index, {}, {}, {}, {}};
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

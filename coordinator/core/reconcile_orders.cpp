// A node's whole desired set, sent when its agent has not been told the newest one.
//
// The set is a function of the log up to the node's order index alone, so (token, order index)
// names it exactly: equal stamps carry equal orders, also when another look makes them again.
#include "coordinator/core/reconcile_topics.h"

namespace muster::coordinator {
namespace {

Assignment assignmentOf(const RankRef& ref, const PlacedGeneration& generation) {
  const RankPlacement& placed = generation.placement.ranks[ref.rank.value];
  return {.ref = ref,
          .tenant = generation.spec.tenant,
          .deployment = generation.spec.name,
          .worldSize = static_cast<uint32_t>(generation.placement.ranks.size()),
          .devices = placed.devices,
          .memory = placed.memory,
          .engine = generation.spec.engine,
          .modelSource = generation.spec.model.source,
          .manifestDigest = generation.manifestDigest,
          .plan = generation.plan,
          .rendezvous = generation.ranks.front().rendezvous,
          .secret = generation.secret,
          .timeouts = generation.spec.timeouts};
}

std::vector<Assignment> assignmentsOf(const State& state, const NodeName& node) {
  std::map<RankRef, Assignment> assignments;
  auto devices = state.reservations.find(node);
  if (devices == state.reservations.end()) return {};
  for (const auto& [device, ranks] : devices->second) {
    for (const auto& [ref, promised] : ranks) {
      const PlacedGeneration* generation = state.findCurrent(generationOf(ref));
      if (!generation || assignments.contains(ref)) continue;
      assignments.emplace(ref, assignmentOf(ref, *generation));
    }
  }
  std::vector<Assignment> sorted;
  sorted.reserve(assignments.size());
  for (auto& [ref, assignment] : assignments) sorted.push_back(std::move(assignment));
  return sorted;
}

}  // namespace

void reconcileOrders(Look& look) {
  for (const auto& [name, node] : look.state.nodes) {
    auto seen = look.observed.nodes.find(name);
    if (seen == look.observed.nodes.end() || !seen->second.attached) continue;
    if (seen->second.agent != node.agent) continue;  // its registration comes first
    OrderStamp stamp{look.observed.token, node.orderIndex};
    if (seen->second.obeyed >= stamp || seen->second.sent >= stamp) continue;
    look.effects.orders.push_back(
        {name, Order{stamp, node.agent, assignmentsOf(look.state, name)}});
  }
}

}  // namespace muster::coordinator

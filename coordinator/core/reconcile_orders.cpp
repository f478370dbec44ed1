// A node's whole desired set, sent when its agent has not been told the newest one.
//
// The set is a function of the log up to the node's order index alone, so (token, order index)
// names it exactly: equal stamps carry equal orders, also when another look makes them again.
#include "coordinator/core/assignment.h"
#include "coordinator/core/reconcile_topics.h"
#include "protocol/engine_preset.h"

namespace muster::coordinator {
namespace {

// Where the group meets; for an engine whose members say where they are, all of them once the last
// one has, and to each of them nothing: it says so itself.
std::string meetingPoint(const PlacedGeneration& generation, RankNumber rank) {
  if (meetingOf(generation.spec.engine.kind) == Meeting::HEAD) {
    return generation.ranks.front().rendezvous;
  }
  std::string all;
  for (size_t i = 1; rank.value == 0 && i < generation.ranks.size(); ++i) {
    if (generation.ranks[i].rendezvous.empty()) return "";
    all += (all.empty() ? "" : ",") + generation.ranks[i].rendezvous;
  }
  return all;
}

}  // namespace

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
          .rendezvous = meetingPoint(generation, ref.rank),
          .secret = generation.secret,
          .timeouts = generation.spec.timeouts};
}

namespace {

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

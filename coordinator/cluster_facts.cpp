#include "coordinator/cluster_facts.h"

#include "protocol/schema_level.h"

namespace muster::coordinator {

ClusterFacts clusterFacts(const ApiContext& context) {
  const Coordinator& coordinator = context.coordinator;
  ClusterFacts facts;
  facts.cluster = coordinator.cluster();
  facts.history = coordinator.token().history;
  facts.epoch = coordinator.token().epoch;
  facts.schemaLevel = coordinator.state().schemaLevel;
  if (const auto& view = coordinator.view()) {
    facts.leader = view->leader;
    facts.leaderAddress = view->leaderAddress;
  }
  for (const auto& peer : context.peers) facts.coordinators.push_back(peer.id);
  if (facts.coordinators.empty()) facts.coordinators.push_back(coordinator.id());
  return facts;
}

CoordinatorView ownView(ApiContext& context) {
  Coordinator& coordinator = context.coordinator;
  const CoordinatorFacts& facts = coordinator.facts();
  CoordinatorView view;
  view.id = coordinator.id();
  view.stage = std::string(toText(facts.stage));
  view.appliedIndex = facts.committedIndex;
  // A hash of commands in flight may never be any committed state's.
  if (coordinator.state().applied == facts.committedIndex) {
    view.stateHash = coordinator.state().hash();
  }
  view.fencedAttempts = facts.fencedAttempts;
  view.wrongGuesses = facts.wrongGuesses;
  view.schemaLevelMax = schemaLevelUnderstood();
  view.address = coordinator.settings().rpcAdvertised;
  view.reachable = true;
  for (const auto& [kind, text] : facts.alarms.active()) {
    view.alarms.emplace_back(toText(kind), text);
  }
  return view;
}

}  // namespace muster::coordinator

// The parts of reconcile, in the order they run; each adds to the effects.
#pragma once

#include "coordinator/core/cluster_index.h"
#include "coordinator/core/core.h"
#include "coordinator/core/limits.h"
#include "coordinator/core/reconcile.h"

#include <map>
#include <set>
#include <string>
#include <utility>

namespace muster::coordinator {

// One look of the leader at what there is and what it sees.
struct Look {
  const State& state;
  const Observed& observed;
  Instant now;
  Random& random;
  ClusterIndex& index;
  Effects effects;

  std::map<NodeName, std::string> givenUp;  // nodes whose replicas go elsewhere, and why
  std::set<GenerationRef> retiring;         // proposed in this look
  // Deployments whose next generation this look has given away: one at a time, the rest as soon as
  // that is applied.
  std::set<DeploymentUid> advancing;

  void propose(CommandBody body) { effects.proposals.push_back(std::move(body)); }
  // Nothing happens at `when` by itself, so look again then. Times that have come are ignored.
  void wakeAt(Instant when);
  void retire(const GenerationRef& ref, Reason reason, std::string message);
  // The node when its agent is attached in this epoch and its lease has not ended.
  const ObservedNode* attached(const NodeName& node) const;
};

// A secret for the members of a new generation.
GroupSecret drawSecret(Random& random);

// What users are told when the planner refuses a place with this code.
Reason reasonOf(RefusalCode code);

void reconcileNodes(Look& look);       // registered, ready, unreachable, lost; fills givenUp
void reconcileRanks(Look& look);       // reports that change a phase; old ranks that have stopped
void reconcileRetirement(Look& look);  // generations that ended, are lost, surplus or outdated
void reconcileDrains(Look& look);      // replicas on draining nodes; nodes that are empty
void reconcilePlacement(Look& look);   // replicas without a place
void reconcileOrders(Look& look);      // what attached agents have not been told

}  // namespace muster::coordinator

#include "coordinator/core/cluster_index.h"

#include "coordinator/core/cluster_view.h"

namespace muster::coordinator {
namespace {

// Adds the nodes of which the planner may see another picture after the command.
struct Touched {
  std::set<NodeName>& nodes;

  void operator()(const NodeRegistered& body) { nodes.insert(body.node.name); }
  void operator()(const NodePhaseChanged& body) { nodes.insert(body.node); }
  void operator()(const NodeCordoned& body) { nodes.insert(body.node); }
  void operator()(const NodeUncordoned& body) { nodes.insert(body.node); }
  void operator()(const NodeDrainStarted& body) { nodes.insert(body.node); }
  void operator()(const NodeDrained& body) { nodes.insert(body.node); }
  void operator()(const RanksReleased& body) { nodes.insert(body.node); }
  void operator()(const ReplicaPlaced& body) {
    for (const auto& rank : body.placement.ranks) nodes.insert(rank.node);
  }
  // A retired generation keeps its devices until its ranks are released.
  void operator()(const ReplicaRetired&) {}
  void operator()(const ReplicaWaiting&) {}
  void operator()(const RankProgressed&) {}
  void operator()(const DeploymentApplied&) {}
  void operator()(const DeploymentScaled&) {}
  void operator()(const DeploymentDeleted&) {}
  void operator()(const ModelRecorded&) {}
  void operator()(const LeaderStarted&) {}
  void operator()(const SchemaLevelRaised&) {}
};

}  // namespace

void ClusterIndex::note(const CommandBody& body) {
  if (index_) std::visit(Touched{changed_}, body);
}

const sharding::PlacementIndex& ClusterIndex::of(const State& state) {
  if (!index_) {
    index_.emplace(clusterView(state));
    return *index_;
  }
  for (const auto& name : changed_) {
    if (state.findNode(name) != nullptr) index_->put(nodeView(state, name));
  }
  changed_.clear();
  return *index_;
}

}  // namespace muster::coordinator

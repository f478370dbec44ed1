// The cluster as the planner sees it, made from the state.
#pragma once

#include "coordinator/core/state.h"
#include "sharding/cluster_view.h"

#include <set>
#include <vector>

namespace muster::coordinator {

// Said of a node that a new leader has not heard of yet.
inline constexpr const char* NOT_ATTACHED = "not attached to the new leader yet";

// Every registered node with what its devices are promised to. Nodes that take no work are closed,
// and so are those in `avoided` (with a word why). Cost O(nodes, devices and reservations).
sharding::ClusterView clusterView(const State& state, const std::set<NodeName>& avoided = {});

// One node of it; it is registered.
sharding::NodeView nodeView(const State& state, const NodeName& name);

// Nodes that hold other replicas of this deployment.
std::vector<NodeName> siblingNodes(const DeploymentState& deployment, ReplicaNumber replica);

// What the planner is asked with for a model: its manifest, or an empty one for a process engine
// without.
const ModelManifest& manifestOf(const State& state, const DeploymentSpec& spec);

}  // namespace muster::coordinator

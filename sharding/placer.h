// Plans one replica: how the model is cut and on which devices its ranks go, or why that cannot be.
#pragma once

#include "base/result.h"
#include "protocol/deployment.h"
#include "protocol/model.h"
#include "protocol/plan.h"
#include "sharding/cluster_view.h"

#include <string>
#include <variant>
#include <vector>

namespace muster::sharding {

// What one node says to a wish. `verdict` is one word: fits, short, busy, memory, type, spread,
// excluded, or what NodeView::closed says; `detail` is the sentence with names and numbers.
struct NodeVerdict {
  NodeName node;
  std::string verdict;
  std::string detail;
  bool operator==(const NodeVerdict&) const = default;
};

// A cut that was looked at and not taken.
struct Alternative {
  uint32_t tensor = 1;
  uint32_t pipeline = 1;
  Bytes rankMemory;  // of the largest rank
  std::string why;   // "needs 5.2 GiB on a device, the largest has 4.0 GiB"
  bool operator==(const Alternative&) const = default;
};

struct PlannedReplica {
  ShardPlan plan;
  Placement placement;
  std::vector<std::string> reasons;  // why this cut and these devices; the binding constraint first
  std::vector<Alternative> rejected;  // best first
  bool operator==(const PlannedReplica&) const = default;
};

// `refusal.code` is one of
//   WAITING_FOR_CAPACITY   would fit if the named nodes had more free: keep it and try again
//   MODEL_DOES_NOT_FIT, NO_MATCHING_GPU, TOPOLOGY_UNSATISFIED, PARALLEL_IMPOSSIBLE, INVALID_VALUE,
//   or one of the
//                          model codes: never fits as asked; `refusal.fixes` starts with the
//                          smallest change
//   NO_WORKER              no node is registered
struct RefusedReplica {
  Refusal refusal;
  std::string wants;               // "2 nodes with 2 free devices of 1.2 GiB each"
  std::vector<NodeVerdict> nodes;  // every node of the view, in its order
  std::vector<Alternative> rejected;
  bool operator==(const RefusedReplica&) const = default;
};

using PlacementOutcome = std::variant<PlannedReplica, RefusedReplica>;

// Plans one replica of a deployment.
//
// `manifest`: what a worker found; for a process engine its config may be of any kind, or empty.
// `siblingNodes`: where the other replicas of this deployment are; avoided when possible.
//
// Native ranks take one device each and reserve what the memory model says, so ranks of different
// deployments may share a device; ranks of a process engine take whole devices, since nobody knows
// what the program will use. Deterministic: equal inputs give equal outcomes, ties go to the lower
// name and index.
PlacementOutcome planReplica(const DeploymentSpec& deployment, const ModelManifest& manifest,
                             const ClusterView& cluster, const std::vector<NodeName>& siblingNodes);

}  // namespace muster::sharding

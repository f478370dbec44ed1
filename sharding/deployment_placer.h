// Places the replicas of one deployment, one after the other, on an index: chooses what
// planReplica() would choose, without a look at every node and without its words.
#pragma once

#include "sharding/draft.h"
#include "sharding/indexed_sites.h"
#include "sharding/replica_planner.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace muster::sharding {

struct ChosenPlace {
  ShardPlan plan;
  Placement placement;
  bool operator==(const ChosenPlace&) const = default;
};

// The deployment's own nodes are out of `draft` until finish(), or the end of this, gives them back
// with what was placed on them; so there is one at a time. `draft` is borrowed.
class DeploymentPlacer {
 public:
  // `siblings`: where its other replicas are.
  DeploymentPlacer(const DeploymentSpec& deployment, const ModelManifest& manifest,
                   const std::vector<NodeName>& siblings, PlacementDraft& draft);
  ~DeploymentPlacer();
  DeploymentPlacer(const DeploymentPlacer&) = delete;
  DeploymentPlacer& operator=(const DeploymentPlacer&) = delete;

  // Where the next replica goes, and takes its devices in the draft; nothing when planReplica()
  // refuses, and it says why. What one replica cannot have its equals cannot have either.
  std::optional<ChosenPlace> place(ReplicaNumber replica);
  // Places nothing more.
  void finish();
  // Whether the next replica would be placed if nothing ran and every node took work.
  bool canEverFit();

 private:
  class IndexPacker;

  void take(ReplicaNumber replica, const Placement& placement);
  std::optional<NodeView> takeNode(const NodeName& name);
  void putSibling(NodeView node);
  bool refuses(const NodeView& node) const;
  ClusterView view() const;  // of the whole draft, own nodes among it

  PlacementDraft& draft_;
  Owner owner_;
  std::vector<GangWish> wishes_;  // of the cuts
  std::vector<Cut> cuts_;         // empty when no node needs to be looked at to refuse
  PlacementIndex others_;         // own nodes without a sibling: they have old ranks of ours
  PlacementIndex siblings_;       // own nodes with one
  std::set<std::string> siblingRacks_;
  std::vector<Layer> layers_;
  std::function<bool(const NodeView&)> refuses_;
  std::unique_ptr<IndexPacker> packer_;
};

}  // namespace muster::sharding

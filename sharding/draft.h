// What one look of the leader at the cluster adds to the index: nodes that it avoids, and gangs
// that it has placed and that are not in the state yet. The index itself is left alone.
#pragma once

#include "protocol/plan.h"
#include "sharding/index.h"

#include <set>
#include <string>

namespace muster::sharding {

class PlacementDraft {
 public:
  // `base` is borrowed, and does not change meanwhile.
  explicit PlacementDraft(const PlacementIndex& base) : base_(base) {}

  // Nothing goes on this node; see NodeView::closed.
  void close(const NodeName& node, std::string word, std::string detail);
  // The node as it is in this draft, to be given back with `put`: until then it is not there.
  std::optional<NodeView> take(const NodeName& node);
  void put(NodeView node);

  const NodeView* find(const NodeName& node) const;
  uint64_t devices() const { return base_.devices(); }
  // The nodes of this deployment: those it uses devices of.
  std::set<NodeName> nodesOf(const Owner& owner) const;

  // The nodes are those of the base that are not masked, and the changed ones.
  const PlacementIndex& base() const { return base_; }
  const PlacementIndex& changed() const { return changed_; }
  bool isMasked(const NodeName& node) const { return masked_.contains(node); }

 private:
  const PlacementIndex& base_;
  PlacementIndex changed_;
  std::set<NodeName> masked_;
};

// All nodes of the draft as a plain view.
ClusterView viewOf(const PlacementDraft& draft);

// Notes that these devices are promised to one rank.
void addUse(NodeView& node, const RankPlacement& rank, const Owner& owner, ReplicaNumber replica);

}  // namespace muster::sharding

// The cluster kept for placing: its nodes in groups of equals, so that a choice looks at one node
// of each group and not at every node.
//
// Two nodes are in one group when nothing but their names, racks and the numbering of their devices
// tells them apart: the same pool and fabric, and devices of the same types, sizes, islands and
// free memory. A cluster of few kinds of nodes that runs few kinds of replicas has few groups. In
// the worst case each node is a group of its own, and a choice costs what a look at all nodes does.
#pragma once

#include "sharding/cluster_view.h"
#include "sharding/constraints.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace muster::sharding {

struct NodeGroup {
  uint64_t id = 0;  // of no other group of this index, before or after
  std::set<NodeName> nodes;
  std::map<std::string, std::set<NodeName>> byRack;  // the same nodes
};

// A deployment, as the one whose uses a device has.
using Owner = std::pair<TenantName, DeploymentName>;

class PlacementIndex {
 public:
  PlacementIndex() = default;
  explicit PlacementIndex(const ClusterView& cluster);
  // The index that one deployment's replicas are chosen from: devices that it uses are nobody's to
  // take.
  explicit PlacementIndex(Owner chooser) : chooser_(std::move(chooser)) {}

  // A new node, or one as it is now. Cost O(its devices + log nodes).
  void put(NodeView node);
  // The node as it was; nothing when it is not there.
  std::optional<NodeView> take(const NodeName& node);

  const NodeView* find(const NodeName& node) const;
  const std::map<NodeName, NodeView>& nodes() const { return nodes_; }
  // Nodes with a device that this deployment uses.
  const std::set<NodeName>& nodesOf(const Owner& owner) const;
  uint64_t devices() const { return devices_; }
  Bytes largestDevice() const { return sizes_.empty() ? Bytes{} : sizes_.rbegin()->first; }

  // Groups by what their nodes have free NOW, closed nodes left out; or by what they would have if
  // they were EMPTY, closed ones among them. No group is empty.
  using Groups = std::map<std::string, NodeGroup>;
  const Groups& groups(Occupancy occupancy) const {
    return occupancy == Occupancy::NOW ? now_ : empty_;
  }

  bool operator==(const PlacementIndex& other) const { return nodes_ == other.nodes_; }

 private:
  void enter(const NodeView& node, bool sameShape);
  void leave(const NodeView& node, bool sameShape);
  void join(Groups& groups, std::string profile, const NodeView& node);
  std::string profileNow(const NodeView& node) const;

  std::optional<Owner> chooser_;
  std::map<NodeName, NodeView> nodes_;
  Groups now_;
  Groups empty_;
  std::map<Owner, std::set<NodeName>> owners_;
  uint64_t devices_ = 0;
  std::map<Bytes, uint64_t> sizes_;  // how many devices have this much memory
  uint64_t lastGroup_ = 0;
};

// All nodes of an index as a plain view.
ClusterView viewOf(const PlacementIndex& index);

}  // namespace muster::sharding

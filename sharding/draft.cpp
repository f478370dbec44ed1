#include "sharding/draft.h"

#include <algorithm>

namespace muster::sharding {

void PlacementDraft::close(const NodeName& node, std::string word, std::string detail) {
  auto view = take(node);
  if (!view) return;
  view->closed = std::move(word);
  view->closedDetail = std::move(detail);
  put(std::move(*view));
}

std::optional<NodeView> PlacementDraft::take(const NodeName& node) {
  if (isMasked(node)) return changed_.take(node);
  const NodeView* known = base_.find(node);
  if (known == nullptr) return std::nullopt;
  masked_.insert(node);
  return *known;
}

void PlacementDraft::put(NodeView node) { changed_.put(std::move(node)); }

const NodeView* PlacementDraft::find(const NodeName& node) const {
  return isMasked(node) ? changed_.find(node) : base_.find(node);
}

std::set<NodeName> PlacementDraft::nodesOf(const Owner& owner) const {
  std::set<NodeName> nodes = base_.nodesOf(owner);
  std::erase_if(nodes, [&](const NodeName& node) { return isMasked(node); });
  const auto& changed = changed_.nodesOf(owner);
  nodes.insert(changed.begin(), changed.end());
  return nodes;
}

ClusterView viewOf(const PlacementDraft& draft) {
  ClusterView view;
  for (const auto& [name, node] : draft.base().nodes()) {
    if (!draft.isMasked(name)) view.nodes.push_back(node);
  }
  for (const auto& [name, node] : draft.changed().nodes()) view.nodes.push_back(node);
  std::ranges::sort(view.nodes, {}, &NodeView::name);
  return view;
}

void addUse(NodeView& node, const RankPlacement& rank, const Owner& owner, ReplicaNumber replica) {
  for (auto& device : node.devices) {
    if (std::ranges::find(rank.devices, device.index) == rank.devices.end()) continue;
    device.uses.push_back({owner.first, owner.second, replica, rank.rank, rank.memory});
  }
}

}  // namespace muster::sharding

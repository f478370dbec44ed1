#include "sharding/deployment_placer.h"

#include "sharding/site.h"

#include <algorithm>

namespace muster::sharding {
namespace {

// What the groups of an index do not tell, so that every node has to be looked at.
bool needsScan(const GangWish& wish, TensorScope scope) {
  return scope == TensorScope::CLUSTER || !wish.rules.nodes.empty() ||
         wish.rules.fabric == Fabric::REQUIRED || !wish.stageGpu.empty();
}

std::vector<Cut> cutsFor(const DeploymentSpec& deployment, const ModelManifest& manifest,
                         uint64_t devices, std::vector<GangWish>& wishes) {
  auto spec = readModel(deployment, manifest);
  if (!spec) return {};
  ReplicaPlanner planner(deployment, std::move(*spec), manifest.tensors, {});
  auto cuts = planner.cuts(worldMaxOf(devices));
  if (!cuts) return {};
  for (const auto& cut : *cuts) wishes.push_back(planner.wishFor(cut));
  return std::move(*cuts);
}

}  // namespace

// Packs the wishes of the placer's cuts, each with what it knows of the groups.
class DeploymentPlacer::IndexPacker final : public GangPacker {
 public:
  explicit IndexPacker(const DeploymentPlacer& placer) : placer_(placer) {}

  std::optional<std::vector<Seat>> pack(size_t cut, TensorScope scope,
                                        Occupancy occupancy) override {
    const GangWish& wish = placer_.wishes_[cut];
    if (needsScan(wish, scope)) return scan(wish, scope, occupancy);
    auto [offers, added] = offers_.try_emplace({cut, scope, occupancy});
    if (added) {
      offers->second = std::make_unique<GroupOffers>(
          GroupOffers::Question{wish, scope, occupancy, placer_.layers_, placer_.refuses_});
    }
    return packStages(wish, [&] { return IndexedSites(*offers->second); });
  }

 private:
  std::optional<std::vector<Seat>> scan(GangWish wish, TensorScope scope, Occupancy occupancy) {
    view_ = placer_.view();
    wish.siblings.clear();
    for (const auto& [name, node] : placer_.siblings_.nodes()) wish.siblings.push_back(name);
    return packGang(view_, wish, scope, occupancy);
  }

  const DeploymentPlacer& placer_;
  std::map<std::tuple<size_t, TensorScope, Occupancy>, std::unique_ptr<GroupOffers>> offers_;
  ClusterView view_;  // of the newest scan; its seats are in it
};

DeploymentPlacer::DeploymentPlacer(const DeploymentSpec& deployment, const ModelManifest& manifest,
                                   const std::vector<NodeName>& siblings, PlacementDraft& draft)
    : draft_(draft),
      owner_(deployment.tenant, deployment.name),
      cuts_(cutsFor(deployment, manifest, draft.devices(), wishes_)),
      others_(owner_),
      siblings_(owner_),
      refuses_([this](const NodeView& node) { return refuses(node); }),
      packer_(std::make_unique<IndexPacker>(*this)) {
  for (const auto& node : draft.nodesOf(owner_)) others_.put(*draft.take(node));
  for (const auto& name : siblings) {
    auto node = takeNode(name);
    if (node) putSibling(std::move(*node));
  }
  auto isMasked = [&draft](const NodeName& node) { return draft.isMasked(node); };
  layers_ = {{&draft.base(), false, isMasked, true},
             {&draft.changed(), false, nullptr, false},
             {&others_, false, nullptr, false},
             {&siblings_, true, nullptr, false}};
  if (deployment.placement.spread) layers_.pop_back();
}

DeploymentPlacer::~DeploymentPlacer() { finish(); }

void DeploymentPlacer::finish() {
  for (auto* own : {&others_, &siblings_}) {
    while (!own->nodes().empty()) draft_.put(*own->take(own->nodes().begin()->first));
  }
  wishes_.clear();
}

std::optional<ChosenPlace> DeploymentPlacer::place(ReplicaNumber replica) {
  auto found = findPlace(*packer_, wishes_, draft_.base().largestDevice(), Occupancy::NOW);
  if (!found) return std::nullopt;
  ChosenPlace chosen{cuts_[found->cut].plan, {}};
  chosen.placement = placementOf(found->seats, wishes_[found->cut], chosen.plan);
  take(replica, chosen.placement);
  return chosen;
}

void DeploymentPlacer::take(ReplicaNumber replica, const Placement& placement) {
  for (const auto& rank : placement.ranks) {
    auto node = takeNode(rank.node);
    if (!node) continue;
    addUse(*node, rank, owner_, replica);
    putSibling(std::move(*node));
  }
}

bool DeploymentPlacer::canEverFit() {
  return findPlace(*packer_, wishes_, draft_.base().largestDevice(), Occupancy::EMPTY).has_value();
}

ClusterView DeploymentPlacer::view() const {
  ClusterView view = viewOf(draft_);
  for (const auto* own : {&others_, &siblings_}) {
    for (const auto& [name, node] : own->nodes()) view.nodes.push_back(node);
  }
  std::ranges::sort(view.nodes, {}, &NodeView::name);
  return view;
}

std::optional<NodeView> DeploymentPlacer::takeNode(const NodeName& name) {
  auto node = siblings_.take(name);
  if (!node) node = others_.take(name);
  if (!node) node = draft_.take(name);
  return node;
}

void DeploymentPlacer::putSibling(NodeView node) {
  if (!node.rack.empty()) siblingRacks_.insert(node.rack);
  siblings_.put(std::move(node));
}

bool DeploymentPlacer::refuses(const NodeView& node) const {
  if (wishes_.empty()) return true;
  const auto& rules = wishes_.front().rules;
  if (!rules.pool.empty()) {
    auto pool = node.labels.find("pool");
    if (pool == node.labels.end() || pool->second != rules.pool) return true;
  }
  if (std::ranges::find(rules.exclude, node.name) != rules.exclude.end()) return true;
  return rules.spread == Spread::RACK && siblingRacks_.contains(node.rack);
}

}  // namespace muster::sharding

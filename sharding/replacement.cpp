#include "sharding/replacement.h"

#include "sharding/gang.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace muster::sharding {
namespace {

std::string fabricOf(const NodeView& node) {
  auto label = node.labels.find("fabric");
  // Without the label a node is a fabric of its own.
  return label == node.labels.end() ? "/" + node.name.value : label->second;
}

// The cluster without what the ranks that are gone were promised.
ClusterView withoutGone(const ReplacementWish& wish, ClusterView cluster) {
  for (RankNumber rank : wish.gone) {
    const RankPlacement& seat = wish.placement.ranks[rank.value];
    auto node = std::ranges::lower_bound(cluster.nodes, seat.node, {}, &NodeView::name);
    if (node == cluster.nodes.end() || node->name != seat.node) continue;
    for (auto& device : node->devices) {
      if (std::ranges::count(seat.devices, device.index) == 0) continue;
      std::erase_if(device.uses, [&](const DeviceUse& use) {
        return use.tenant == wish.deployment.tenant && use.deployment == wish.deployment.name &&
               use.replica == wish.replica && use.rank == rank;
      });
    }
  }
  return cluster;
}

class Replacer {
 public:
  Replacer(const ReplacementWish& wish, const ClusterView& cluster)
      : wish_(wish), cluster_(cluster), placement_(wish.placement), missing_(wish.lost) {
    gang_.tenant = wish.deployment.tenant;
    gang_.deployment = wish.deployment.name;
    gang_.gpu = wish.deployment.gpu;
    gang_.rules = wish.deployment.placement;
    gang_.siblings = wish.siblings;
    gang_.tensor = wish.plan.tensor;
    scopeMax_ = allowedScopes(gang_).back();
  }

  std::optional<Placement> run() {
    for (RankNumber rank : wish_.lost) {
      auto seat = bestSeat(placement_.ranks[rank.value]);
      if (!seat) return std::nullopt;
      RankPlacement& place = placement_.ranks[rank.value];
      place.node = seat->node->name;
      place.devices = {seat->device->index};
      missing_.erase(rank);
      taken_.insert({place.node, place.devices.front()});
    }
    return std::move(placement_);
  }

 private:
  // Lower is better; compared in this order.
  using Penalty = std::tuple<bool, int, bool, bool, bool, bool, Bytes, NodeName, DeviceIndex>;

  std::optional<Seat> bestSeat(const RankPlacement& before) const {
    GangWish wish = gang_;
    wish.gpu = gpuOfStage(wish_.deployment, before.rank.value / wish_.plan.tensor);
    wish.stageMemory = {before.memory};
    std::optional<Seat> best;
    Penalty least;
    for (const auto& node : cluster_.nodes) {
      if (refuseNode(node, cluster_, wish, Occupancy::NOW) || !isInFabric(node)) continue;
      for (const Seat& seat : seatsOf(node, wish, before.memory, Occupancy::NOW)) {
        if (taken_.contains({node.name, seat.device->index})) continue;
        TensorScope scope = scopeWithPartners(before.rank, seat);
        if (scope > scopeMax_) continue;
        Penalty penalty = penaltyOf(before, seat, scope);
        if (best && least <= penalty) continue;
        best = seat;
        least = penalty;
      }
    }
    return best;
  }

  Penalty penaltyOf(const RankPlacement& before, const Seat& seat, TensorScope scope) const {
    bool sameNode = seat.node->name == before.node;
    bool sameDevice = sameNode && seat.device->index == before.devices.front();
    bool ofReplica = std::ranges::any_of(wish_.placement.ranks, [&](const RankPlacement& rank) {
      return rank.node == seat.node->name;
    });
    bool hasSibling = std::ranges::count(wish_.siblings, seat.node->name) > 0;
    return {!sameDevice,       static_cast<int>(scope),
            !sameNode,         !ofReplica,
            hasSibling,        !seat.empty,
            seat.free,         seat.node->name,
            seat.device->index};
  }

  // How far the seat is from the farthest rank of the same stage that has a place.
  TensorScope scopeWithPartners(RankNumber rank, const Seat& seat) const {
    TensorScope scope = TensorScope::ISLAND;
    uint32_t first = rank.value / wish_.plan.tensor * wish_.plan.tensor;
    for (uint32_t other = first; other < first + wish_.plan.tensor; ++other) {
      if (other == rank.value || missing_.contains({other})) continue;
      scope = std::max(scope, scopeBetween(placement_.ranks[other], seat));
    }
    return scope;
  }

  static TensorScope scopeBetween(const RankPlacement& partner, const Seat& seat) {
    if (partner.node != seat.node->name) return TensorScope::CLUSTER;
    for (const auto& device : seat.node->devices) {
      if (device.index != partner.devices.front()) continue;
      return device.island == seat.device->island ? TensorScope::ISLAND : TensorScope::NODE;
    }
    return TensorScope::NODE;
  }

  bool isInFabric(const NodeView& node) const {
    if (gang_.rules.fabric != Fabric::REQUIRED) return true;
    return std::ranges::all_of(placement_.ranks, [&](const RankPlacement& rank) {
      if (missing_.contains(rank.rank)) return true;
      auto other = std::ranges::lower_bound(cluster_.nodes, rank.node, {}, &NodeView::name);
      return other != cluster_.nodes.end() && other->name == rank.node &&
             fabricOf(*other) == fabricOf(node);
    });
  }

  const ReplacementWish& wish_;
  const ClusterView& cluster_;
  GangWish gang_;
  TensorScope scopeMax_ = TensorScope::CLUSTER;
  Placement placement_;
  std::set<RankNumber> missing_;                      // no place yet
  std::set<std::pair<NodeName, DeviceIndex>> taken_;  // in this call
};

}  // namespace

std::optional<Placement> replaceRanks(const ReplacementWish& wish, const ClusterView& cluster) {
  ClusterView view = withoutGone(wish, cluster);
  return Replacer(wish, view).run();
}

}  // namespace muster::sharding

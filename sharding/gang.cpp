#include "sharding/gang.h"

#include "sharding/site.h"
#include "sharding/stage_kinds.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace muster::sharding {
namespace {

// Sites looked at one by one.
class ScannedSites {
 public:
  ScannedSites(const GangWish& wish, std::vector<Site> sites)
      : wish_(wish), sites_(std::move(sites)) {}

  Site* choose(const StagesLeft& left) {
    Site* best = nullptr;
    NodeOffer bestOffer;
    for (auto& site : sites_) {
      if (site.groupsFor(left.next, wish_.tensor) == 0) continue;
      NodeOffer offer = judge(site, left);
      if (best != nullptr && !isBetter(offer, bestOffer)) continue;
      best = &site;
      bestOffer = offer;
    }
    if (best != nullptr && firstRack_.empty()) firstRack_ = best->node->rack;
    return best;
  }

 private:
  NodeOffer judge(const Site& site, const StagesLeft& left) const {
    NodeOffer offer = offerOf(site, wish_, left);
    offer.hasSibling = std::find(wish_.siblings.begin(), wish_.siblings.end(), site.node->name) !=
                       wish_.siblings.end();
    offer.isOtherRack = !firstRack_.empty() && site.node->rack != firstRack_;
    return offer;
  }

  const GangWish& wish_;
  std::vector<Site> sites_;
  std::string firstRack_;
};

// All seats of the cluster as one pool: nodes without a sibling first, then those with the most
// seats, so that a group spans few nodes.
Site joinSites(const std::vector<Site>& sites, const GangWish& wish) {
  std::vector<std::tuple<bool, uint64_t, const Site*>> order;
  for (const auto& site : sites) {
    bool sibling = std::find(wish.siblings.begin(), wish.siblings.end(), site.node->name) !=
                   wish.siblings.end();
    order.emplace_back(sibling, ~site.seatsFor({}), &site);
  }
  // Sites come by name, and a stable sort keeps that among equals.
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::tie(std::get<0>(a), std::get<1>(a)) < std::tie(std::get<0>(b), std::get<1>(b));
  });
  Site all;
  all.pools.emplace_back();
  for (const auto& [sibling, seats, site] : order) {
    if (all.node == nullptr) all.node = site->node;
    for (const auto& pool : site->pools) {
      all.pools[0].insert(all.pools[0].end(), pool.begin(), pool.end());
    }
  }
  return all;
}

// Nodes that may serve one gang together: all, or those of one fabric when one is required. A node
// without the label is a fabric of its own.
std::vector<std::vector<const NodeView*>> domainsOf(const ClusterView& cluster,
                                                    const GangWish& wish, Occupancy occupancy) {
  bool oneFabric = wish.rules.fabric == Fabric::REQUIRED;
  std::map<std::string, std::vector<const NodeView*>> domains;
  for (const auto& node : cluster.nodes) {
    if (refuseNode(node, cluster, wish, occupancy)) continue;
    auto label = node.labels.find("fabric");
    std::string fabric = label == node.labels.end() ? "/" + node.name.value : label->second;
    domains[oneFabric ? fabric : ""].push_back(&node);
  }
  std::vector<std::vector<const NodeView*>> all;
  all.reserve(domains.size());
  for (auto& [fabric, nodes] : domains) all.push_back(std::move(nodes));
  return all;
}

// Where a gang may go.
struct Area {
  std::vector<const NodeView*> nodes;
  TensorScope scope;
  Occupancy occupancy;
};

// Stages that want one kind of GPU, on devices that are not taken.
std::optional<std::vector<Seat>> packPart(const Area& area, const GangWish& wish,
                                          const std::set<const DeviceView*>& taken) {
  Bytes least = *std::min_element(wish.stageMemory.begin(), wish.stageMemory.end());
  std::vector<Site> sites;
  sites.reserve(area.nodes.size());
  for (const auto* node : area.nodes) {
    sites.push_back(siteOf(*node, wish, least, area.scope, area.occupancy));
    if (taken.empty()) continue;
    for (auto& pool : sites.back().pools) {
      std::erase_if(pool, [&](const Seat& seat) { return taken.contains(seat.device); });
    }
  }
  if (area.scope == TensorScope::CLUSTER) sites = {joinSites(sites, wish)};
  return packStages(wish, [&] { return ScannedSites(wish, sites); });
}

// The kind that the fewest devices are of comes first: what takes any device leaves it those.
std::multimap<size_t, WishPart> rarestFirst(const Area& area, const GangWish& wish) {
  std::multimap<size_t, WishPart> parts;
  for (auto& part : partsOf(wish)) {
    size_t devices = 0;
    for (const auto* node : area.nodes) {
      devices += seatsOf(*node, part.wish, {}, area.occupancy).size();
    }
    parts.emplace(devices, std::move(part));
  }
  return parts;
}

std::optional<std::vector<Seat>> packParts(const Area& area, const GangWish& wish) {
  std::vector<Seat> ranks(wish.world());
  std::set<const DeviceView*> taken;
  for (const auto& [devices, part] : rarestFirst(area, wish)) {
    auto seats = packPart(area, part.wish, taken);
    if (!seats) return std::nullopt;
    for (size_t i = 0; i < seats->size(); ++i) {
      const Seat& seat = (*seats)[i];
      ranks[size_t{part.stages[i / wish.tensor]} * wish.tensor + i % wish.tensor] = seat;
      taken.insert(seat.device);
    }
  }
  return ranks;
}

}  // namespace

std::string toText(TensorScope scope) {
  switch (scope) {
    case TensorScope::ISLAND:
      return "in one island";
    case TensorScope::NODE:
      return "on one node";
    case TensorScope::CLUSTER:
      return "across nodes";
  }
  return {};
}

std::vector<TensorScope> allowedScopes(const GangWish& wish) {
  if (wish.tensor == 1 || !wish.gpu.link.empty()) return {TensorScope::ISLAND};
  if (wish.rules.tpWithinNode) return {TensorScope::ISLAND, TensorScope::NODE};
  return {TensorScope::ISLAND, TensorScope::NODE, TensorScope::CLUSTER};
}

std::optional<std::vector<Seat>> packGang(const ClusterView& cluster, const GangWish& wish,
                                          TensorScope scope, Occupancy occupancy) {
  for (auto& nodes : domainsOf(cluster, wish, occupancy)) {
    Area area{std::move(nodes), scope, occupancy};
    auto ranks = wish.stageGpu.empty() ? packPart(area, wish, {}) : packParts(area, wish);
    if (ranks) return ranks;
  }
  return std::nullopt;
}

}  // namespace muster::sharding

#include "sharding/gang.h"

#include "sharding/score.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

namespace muster::sharding {
namespace {

using Pool = std::vector<Seat>;  // seats a tensor group may be taken from

// A node, or in CLUSTER scope all of them together.
struct Site {
  const NodeView* node = nullptr;
  std::vector<Pool> pools;

  uint64_t seatsFor(Bytes memory) const {
    uint64_t count = 0;
    for (const auto& pool : pools) count += countIn(pool, memory);
    return count;
  }
  uint64_t groupsFor(Bytes memory, uint32_t tensor) const {
    uint64_t groups = 0;
    for (const auto& pool : pools) groups += countIn(pool, memory) / tensor;
    return groups;
  }
  static uint64_t countIn(const Pool& pool, Bytes memory) {
    return static_cast<uint64_t>(std::count_if(
        pool.begin(), pool.end(), [&](const Seat& seat) { return seat.free >= memory; }));
  }
};

// Empty devices first, then the tightest.
bool isTakenFirst(const Seat& a, const Seat& b) {
  return std::tuple(!a.empty, a.free, a.node->name, a.device->index) <
         std::tuple(!b.empty, b.free, b.node->name, b.device->index);
}

bool isBefore(const Seat& a, const Seat& b) {
  return std::tie(a.node->name, a.device->index) < std::tie(b.node->name, b.device->index);
}

// Takes one group out of the pool with the fewest suitable seats that has enough.
std::vector<Seat> takeGroup(Site& site, Bytes memory, uint32_t tensor) {
  Pool* best = nullptr;
  uint64_t fewest = 0;
  for (auto& pool : site.pools) {
    uint64_t count = Site::countIn(pool, memory);
    if (count < tensor || (best != nullptr && count >= fewest)) continue;
    best = &pool;
    fewest = count;
  }
  std::vector<Seat> group;
  Pool rest;
  for (const auto& seat : *best) {
    (seat.free >= memory && group.size() < tensor ? group : rest).push_back(seat);
  }
  *best = std::move(rest);
  std::sort(group.begin(), group.end(), isBefore);
  return group;
}

// Seats the stages of one gang, one after the other, in a given order.
class Packer {
 public:
  Packer(const GangWish& wish, std::vector<Site> sites) : wish_(wish), sites_(std::move(sites)) {}

  std::optional<std::vector<Seat>> pack(const std::vector<uint32_t>& order) {
    std::vector<Seat> ranks(wish_.world());
    Site* site = nullptr;
    for (size_t i = 0; i < order.size(); ++i) {
      Bytes memory = wish_.stageMemory[order[i]];
      if (site == nullptr || site->groupsFor(memory, wish_.tensor) == 0) {
        site = choose(memory, {order.begin() + static_cast<ptrdiff_t>(i), order.end()});
        if (site == nullptr) return std::nullopt;
      }
      auto group = takeGroup(*site, memory, wish_.tensor);
      size_t firstRank = size_t{order[i]} * wish_.tensor;
      std::copy(group.begin(), group.end(), ranks.begin() + static_cast<ptrdiff_t>(firstRank));
    }
    return ranks;
  }

 private:
  Site* choose(Bytes memory, const std::vector<uint32_t>& remaining) {
    Site* best = nullptr;
    NodeOffer bestOffer;
    for (auto& site : sites_) {
      if (site.groupsFor(memory, wish_.tensor) == 0) continue;
      NodeOffer offer = offerOf(site, remaining);
      if (best != nullptr && !isBetter(offer, bestOffer)) continue;
      best = &site;
      bestOffer = offer;
    }
    if (best != nullptr && firstRack_.empty()) firstRack_ = best->node->rack;
    return best;
  }

  NodeOffer offerOf(const Site& site, const std::vector<uint32_t>& remaining) const {
    Bytes memory;
    for (uint32_t stage : remaining) memory = std::max(memory, wish_.stageMemory[stage]);
    uint64_t hosted = std::min<uint64_t>(remaining.size(), site.groupsFor(memory, wish_.tensor));
    uint64_t empty = 0;
    for (const auto& pool : site.pools) {
      empty += static_cast<uint64_t>(
          std::count_if(pool.begin(), pool.end(), [](const Seat& seat) { return seat.empty; }));
    }
    uint64_t wanted = hosted * wish_.tensor;
    NodeOffer offer;
    offer.node = site.node;
    offer.hasSibling = std::find(wish_.siblings.begin(), wish_.siblings.end(), site.node->name) !=
                       wish_.siblings.end();
    offer.isOtherRack = !firstRack_.empty() && site.node->rack != firstRack_;
    offer.stagesLeft = remaining.size() - hosted;
    offer.devicesShared = wanted > empty ? wanted - empty : 0;
    offer.devicesLeftOver = empty > wanted ? empty - wanted : 0;
    return offer;
  }

  const GangWish& wish_;
  std::vector<Site> sites_;
  std::string firstRack_;
};

std::vector<Pool> poolsOf(const std::vector<Seat>& seats, TensorScope scope) {
  std::map<uint32_t, Pool> byIsland;
  for (const auto& seat : seats) {
    byIsland[scope == TensorScope::ISLAND ? seat.device->island : 0].push_back(seat);
  }
  std::vector<Pool> pools;
  for (auto& [island, pool] : byIsland) {
    std::sort(pool.begin(), pool.end(), isTakenFirst);
    pools.push_back(std::move(pool));
  }
  return pools;
}

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

std::optional<std::vector<Seat>> packSites(const GangWish& wish, const std::vector<Site>& sites) {
  std::vector<uint32_t> order(wish.stageMemory.size());
  std::iota(order.begin(), order.end(), 0);
  if (auto ranks = Packer(wish, sites).pack(order)) return ranks;
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return wish.stageMemory[a] > wish.stageMemory[b];
  });
  return Packer(wish, sites).pack(order);
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
  Bytes least = *std::min_element(wish.stageMemory.begin(), wish.stageMemory.end());
  for (const auto& nodes : domainsOf(cluster, wish, occupancy)) {
    std::vector<Site> sites;
    sites.reserve(nodes.size());
    for (const auto* node : nodes) {
      sites.push_back({node, poolsOf(seatsOf(*node, wish, least, occupancy), scope)});
    }
    if (scope == TensorScope::CLUSTER) sites = {joinSites(sites, wish)};
    if (auto ranks = packSites(wish, sites)) return ranks;
  }
  return std::nullopt;
}

}  // namespace muster::sharding

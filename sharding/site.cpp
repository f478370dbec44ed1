#include "sharding/site.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>

namespace muster::sharding {
namespace {

uint64_t countIn(const Pool& pool, Bytes memory) {
  return static_cast<uint64_t>(std::count_if(
      pool.begin(), pool.end(), [&](const Seat& seat) { return seat.free >= memory; }));
}

bool isTakenFirst(const Seat& a, const Seat& b) {
  return std::tuple(!a.empty, a.free, a.device->index) <
         std::tuple(!b.empty, b.free, b.device->index);
}

bool isBefore(const Seat& a, const Seat& b) {
  return std::tie(a.node->name, a.device->index) < std::tie(b.node->name, b.device->index);
}

}  // namespace

uint64_t Site::seatsFor(Bytes memory) const {
  uint64_t count = 0;
  for (const auto& pool : pools) count += countIn(pool, memory);
  return count;
}

uint64_t Site::groupsFor(Bytes memory, uint32_t tensor) const {
  uint64_t groups = 0;
  for (const auto& pool : pools) groups += countIn(pool, memory) / tensor;
  return groups;
}

Site siteOf(const NodeView& node, const GangWish& wish, Bytes least, TensorScope scope,
            Occupancy occupancy) {
  std::map<uint32_t, Pool> byIsland;
  for (const auto& seat : seatsOf(node, wish, least, occupancy)) {
    byIsland[scope == TensorScope::ISLAND ? seat.device->island : 0].push_back(seat);
  }
  Site site{&node, {}};
  for (auto& [island, pool] : byIsland) {
    std::sort(pool.begin(), pool.end(), isTakenFirst);
    site.pools.push_back(std::move(pool));
  }
  return site;
}

std::vector<Seat> takeGroup(Site& site, Bytes memory, uint32_t tensor) {
  Pool* best = nullptr;
  uint64_t fewest = 0;
  for (auto& pool : site.pools) {
    uint64_t count = countIn(pool, memory);
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

std::vector<std::vector<uint32_t>> stageOrders(const GangWish& wish) {
  std::vector<uint32_t> order(wish.stageMemory.size());
  std::iota(order.begin(), order.end(), 0);
  std::vector<std::vector<uint32_t>> orders{order};
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return wish.stageMemory[a] > wish.stageMemory[b];
  });
  if (order != orders.front()) orders.push_back(std::move(order));
  return orders;
}

StagesLeft stagesLeft(const GangWish& wish, std::span<const uint32_t> remaining) {
  StagesLeft left{wish.stageMemory[remaining.front()], {}, remaining.size()};
  for (uint32_t stage : remaining) left.largest = std::max(left.largest, wish.stageMemory[stage]);
  return left;
}

NodeOffer offerOf(const Site& site, const GangWish& wish, const StagesLeft& left) {
  uint64_t hosted = std::min(left.count, site.groupsFor(left.largest, wish.tensor));
  uint64_t empty = 0;
  for (const auto& pool : site.pools) {
    empty += static_cast<uint64_t>(
        std::count_if(pool.begin(), pool.end(), [](const Seat& seat) { return seat.empty; }));
  }
  uint64_t wanted = hosted * wish.tensor;
  NodeOffer offer;
  offer.node = site.node;
  offer.stagesLeft = left.count - hosted;
  offer.devicesShared = wanted > empty ? wanted - empty : 0;
  offer.devicesLeftOver = empty > wanted ? empty - wanted : 0;
  return offer;
}

}  // namespace muster::sharding

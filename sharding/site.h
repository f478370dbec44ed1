// What one node can do for a gang: its seats, in pools that a tensor group may be taken from.
#pragma once

#include "sharding/constraints.h"
#include "sharding/gang.h"
#include "sharding/score.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace muster::sharding {

using Pool = std::vector<Seat>;  // empty devices first, then the tightest

// A node, or in CLUSTER scope all of them together.
struct Site {
  const NodeView* node = nullptr;
  std::vector<Pool> pools;

  uint64_t seatsFor(Bytes memory) const;
  uint64_t groupsFor(Bytes memory, uint32_t tensor) const;
};

// The node's seats for ranks of at least `least`, in one pool for each island in ISLAND scope, else
// in one.
Site siteOf(const NodeView& node, const GangWish& wish, Bytes least, TensorScope scope,
            Occupancy occupancy);

// Takes one group out of the pool with the fewest suitable seats that has enough; there is one.
std::vector<Seat> takeGroup(Site& site, Bytes memory, uint32_t tensor);

// Stages of a gang that have no seats yet.
struct StagesLeft {
  Bytes next;     // what a rank of the one that is seated next needs
  Bytes largest;  // what a rank of any of them needs at most
  uint64_t count = 0;
  auto operator<=>(const StagesLeft&) const = default;
};

// What taking the site for the next stage would mean, but for siblings and racks.
NodeOffer offerOf(const Site& site, const GangWish& wish, const StagesLeft& left);

// The orders in which the stages of a gang are seated, the first that works: as they are, then
// largest first if that is another.
std::vector<std::vector<uint32_t>> stageOrders(const GangWish& wish);

StagesLeft stagesLeft(const GangWish& wish, std::span<const uint32_t> remaining);

// Seats the stages one after the other, as many on one site as it holds; see packGang.
//
// `open`: gives a fresh set of sites, of which `choose(left)` names the best for the next stage, or
// null.
template <class Open>
std::optional<std::vector<Seat>> packStages(const GangWish& wish, Open open) {
  for (const auto& order : stageOrders(wish)) {
    auto sites = open();
    std::vector<Seat> ranks(wish.world());
    Site* site = nullptr;
    size_t seated = 0;
    for (; seated < order.size(); ++seated) {
      Bytes memory = wish.stageMemory[order[seated]];
      if (site == nullptr || site->groupsFor(memory, wish.tensor) == 0) {
        site = sites.choose(stagesLeft(wish, std::span(order).subspan(seated)));
        if (site == nullptr) break;
      }
      auto group = takeGroup(*site, memory, wish.tensor);
      size_t firstRank = size_t{order[seated]} * wish.tensor;
      std::copy(group.begin(), group.end(), ranks.begin() + static_cast<ptrdiff_t>(firstRank));
    }
    if (seated == order.size()) return ranks;
  }
  return std::nullopt;
}

}  // namespace muster::sharding

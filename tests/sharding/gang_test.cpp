#include "sharding/gang.h"

#include "tests/sharding/cluster_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <random>
#include <set>

namespace muster::sharding::gang_test {
namespace {

using test::NodeBuilder;

struct RandomCase {
  ClusterView view;
  GangWish wish;
};

RandomCase randomCase(uint64_t seed) {
  std::mt19937_64 random(seed);
  auto pick = [&](uint64_t low, uint64_t high) { return low + random() % (high - low + 1); };
  RandomCase c;
  for (uint64_t i = 0; i < pick(1, 3); ++i) {
    NodeBuilder node("n" + std::to_string(i));
    node.rack("r" + std::to_string(random() % 2));
    for (uint32_t island = 0; island < 2; ++island) {
      for (uint64_t k = pick(0, 3); k > 0; --k) node.devices(1, Bytes{pick(1, 6)}, "cpu", island);
    }
    auto view = node.get();
    for (uint32_t d = 0; d < view.devices.size(); ++d) {
      if (random() % 3 == 0) node.use(d, "other", Bytes{pick(1, view.devices[d].memory.count)});
    }
    c.view.nodes.push_back(node.get());
  }
  c.wish.deployment = DeploymentName{"chat"};
  c.wish.tensor = static_cast<uint32_t>(pick(1, 3));
  for (uint64_t stage = 0; stage < pick(1, 3); ++stage) {
    c.wish.stageMemory.push_back(Bytes{pick(1, 5)});
  }
  return c;
}

// Where a device may be grouped with others, and how much of it is free.
struct Spot {
  std::string group;
  uint64_t free;
};

std::vector<Spot> spotsOf(const ClusterView& view, TensorScope scope) {
  std::vector<Spot> spots;
  for (const auto& node : view.nodes) {
    for (const auto& device : node.devices) {
      std::string group = scope == TensorScope::CLUSTER ? "" : node.name.value;
      if (scope == TensorScope::ISLAND) group += "/" + std::to_string(device.island);
      uint64_t used = 0;
      for (const auto& use : device.uses) used += use.memory.count;
      spots.push_back({group, device.memory.count - used});
    }
  }
  return spots;
}

// Tries every device for every rank, one after the other.
bool existsByTrial(const GangWish& wish, const std::vector<Spot>& spots) {
  std::vector<bool> taken(spots.size(), false);
  std::function<bool(uint32_t, size_t, const std::string*)> seat = [&](uint32_t rank, size_t from,
                                                                       const std::string* group) {
    if (rank == wish.world()) return true;
    bool opensGroup = rank % wish.tensor == 0;
    uint64_t memory = wish.stageMemory[rank / wish.tensor].count;
    for (size_t i = opensGroup ? 0 : from; i < spots.size(); ++i) {
      if (taken[i] || spots[i].free < memory) continue;
      if (!opensGroup && spots[i].group != *group) continue;
      taken[i] = true;
      if (seat(rank + 1, i + 1, &spots[i].group)) return true;
      taken[i] = false;
    }
    return false;
  };
  return seat(0, 0, nullptr);
}

void expectSound(const RandomCase& c, TensorScope scope, const std::vector<Seat>& seats) {
  ASSERT_EQ(seats.size(), c.wish.world());
  std::set<const DeviceView*> devices;
  for (size_t rank = 0; rank < seats.size(); ++rank) {
    const Seat& seat = seats[rank];
    ASSERT_TRUE(devices.insert(seat.device).second) << "a device has two ranks";
    uint64_t used = 0;
    for (const auto& use : seat.device->uses) used += use.memory.count;
    uint64_t wanted = c.wish.stageMemory[rank / c.wish.tensor].count;
    ASSERT_LE(used + wanted, seat.device->memory.count);
    const Seat& first = seats[rank / c.wish.tensor * c.wish.tensor];
    if (scope != TensorScope::CLUSTER) {
      ASSERT_EQ(seat.node, first.node);
    }
    if (scope == TensorScope::ISLAND) {
      ASSERT_EQ(seat.device->island, first.device->island);
    }
  }
}

TEST(Gang, isPlacedWhereverTrialFindsAPlaceAndNowhereElse) {
  uint64_t placed = 0;
  const uint64_t CASES = 3000;
  for (uint64_t seed = 1; seed <= CASES; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    auto c = randomCase(seed);
    for (auto scope : {TensorScope::ISLAND, TensorScope::NODE, TensorScope::CLUSTER}) {
      auto seats = packGang(c.view, c.wish, scope, Occupancy::NOW);
      ASSERT_EQ(seats.has_value(), existsByTrial(c.wish, spotsOf(c.view, scope)));
      if (!seats) continue;
      ++placed;
      expectSound(c, scope, *seats);
      if (HasFatalFailure()) return;
    }
  }
  // The cases are of both kinds.
  EXPECT_GT(placed, CASES / 2);
  EXPECT_LT(placed, CASES * 5 / 2);
}

}  // namespace
}  // namespace muster::sharding::gang_test

#include "sharding/processes.h"

#include "sharding/placer.h"
#include "tests/sharding/cluster_builder.h"

#include <gtest/gtest.h>

namespace muster::sharding::processes_test {
namespace {

using test::cluster;
using test::node;
using test::processDeployment;

struct Seat {
  const char* node;
  uint32_t device;
  Bytes memory = 80_GiB;
};

Placement shardsOn(const std::vector<Seat>& seats) {
  Placement placement;
  for (uint32_t shard = 0; shard < seats.size(); ++shard) {
    placement.ranks.push_back(
        {{shard}, {seats[shard].node}, {{seats[shard].device}}, seats[shard].memory});
  }
  return placement;
}

// "a:0,1 b:0,1", by rank.
std::string placesOf(const Placement& placement) {
  std::string text;
  for (uint32_t rank = 0; rank < placement.ranks.size(); ++rank) {
    const auto& placed = placement.ranks[rank];
    EXPECT_EQ(placed.rank, RankNumber{rank});
    text += (rank == 0 ? "" : " ") + placed.node.value + ":";
    for (size_t i = 0; i < placed.devices.size(); ++i) {
      text += (i == 0 ? "" : ",") + std::to_string(placed.devices[i].value);
    }
  }
  return text;
}

struct JoinCase {
  const char* name;
  std::vector<Seat> seats;
  ProcessShare share;
  const char* joined;
};

TEST(Processes, driveTheDevicesOfTheirNode) {
  const std::vector<Seat> uneven = {{"a", 0}, {"a", 1}, {"a", 2}, {"a", 3}, {"b", 0}, {"b", 1}};
  const std::vector<JoinCase> cases = {
      {"one device each", {{"a", 0}, {"a", 1}}, ProcessShare::DEVICE, "a:0 a:1"},
      {"one node", {{"a", 0}, {"a", 1}}, ProcessShare::EQUAL, "a:0,1"},
      {"two alike", {{"a", 0}, {"a", 1}, {"b", 4}, {"b", 5}}, ProcessShare::EQUAL, "a:0,1 b:4,5"},
      {"equal shares of unlike nodes", uneven, ProcessShare::EQUAL, "a:0,1 a:2,3 b:0,1"},
      {"nothing in common", {{"a", 0}, {"a", 1}, {"b", 0}}, ProcessShare::EQUAL, "a:0 a:1 b:0"},
      {"unlike nodes", uneven, ProcessShare::NODE, "a:0,1,2,3 b:0,1"},
      {"a node that is met twice",
       {{"a", 0}, {"b", 0}, {"a", 1}, {"b", 1}},
       ProcessShare::EQUAL,
       "a:0,1 b:0,1"},
      {"the order of the shards", {{"a", 3}, {"a", 1}}, ProcessShare::NODE, "a:3,1"},
      {"unlike memory on one node",
       {{"a", 0}, {"a", 1}, {"a", 2, 40_GiB}, {"a", 3, 40_GiB}},
       ProcessShare::NODE,
       "a:0,1 a:2,3"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(placesOf(joinProcesses(shardsOn(c.seats), c.share)), c.joined);
  }
}

TEST(Processes, ofAPresetArePlacedOnePerNode) {
  auto spec = processDeployment();
  spec.engine.kind = EngineKind::VLLM;
  spec.engine.command.clear();
  spec.parallel = {2, 2};
  auto view = cluster(node("w1").devices(2, 4_GiB, "H100"), node("w2").devices(2, 4_GiB, "H100"));
  auto outcome = planReplica(spec, {}, view, {});
  const auto* planned = std::get_if<PlannedReplica>(&outcome);
  ASSERT_NE(planned, nullptr) << std::get<RefusedReplica>(outcome).refusal.text;
  EXPECT_EQ(placesOf(planned->placement), "w1:0,1 w2:0,1");
  EXPECT_EQ(planned->placement.ranks[0].memory, 4_GiB) << "whole devices";
  EXPECT_EQ(planned->plan.worldSize(), 4u);
}

}  // namespace
}  // namespace muster::sharding::processes_test

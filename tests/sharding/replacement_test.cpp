#include "sharding/replacement.h"

#include "tests/sharding/cluster_builder.h"

#include <gtest/gtest.h>

namespace muster::sharding::replacement_test {
namespace {

using test::cluster;
using test::node;
using test::NodeBuilder;

// A gang of two stages of two ranks, 1 GiB each: stage 0 on w1, stage 1 on w2, devices 0 and 1.
class Replacement : public ::testing::Test {
 protected:
  Replacement() : spec_(test::deployment("chat")) {
    plan_ = {.tensor = 2, .pipeline = 2};
    for (uint32_t rank = 0; rank < 4; ++rank) {
      placement_.ranks.push_back(
          {{rank}, {rank < 2 ? "w1" : "w2"}, {DeviceIndex{rank % 2}}, 1_GiB});
    }
  }

  // A node with what the gang has on it.
  static NodeView withGang(NodeView view, std::initializer_list<uint32_t> ranks) {
    for (uint32_t rank : ranks) {
      view.devices.at(rank % 2).uses.push_back(
          {TenantName{"default"}, DeploymentName{"chat"}, {0}, {rank}, 1_GiB});
    }
    return view;
  }
  static ClusterView view(std::vector<NodeView> nodes) { return {std::move(nodes)}; }

  std::string places(std::set<RankNumber> lost, std::set<RankNumber> gone,
                     const ClusterView& cluster) {
    auto found = replaceRanks({.deployment = spec_,
                               .replica = {0},
                               .plan = plan_,
                               .placement = placement_,
                               .lost = std::move(lost),
                               .gone = std::move(gone),
                               .siblings = siblings_},
                              cluster);
    if (!found) return "nowhere";
    std::string text;
    for (const auto& rank : found->ranks) {
      text += (text.empty() ? "" : " ") + rank.node.value + ":" +
              std::to_string(rank.devices.front().value);
    }
    return text;
  }

  DeploymentSpec spec_;
  ShardPlan plan_;
  Placement placement_;
  std::vector<NodeName> siblings_;
  NodeView w1_ = withGang(node("w1").devices(2, 4_GiB).get(), {0, 1});
  NodeView w2_ = withGang(node("w2").devices(2, 4_GiB).get(), {2, 3});
};

TEST_F(Replacement, aRankWhoseProcessIsGoneComesBackWhereItWas) {
  EXPECT_EQ(places({{3}}, {{3}}, view({w1_, w2_, node("w3").devices(2, 4_GiB).get()})),
            "w1:0 w1:1 w2:0 w2:1");
}

TEST_F(Replacement, aDeviceThatIsStillTakenIsNotGivenAgain) {
  EXPECT_EQ(places({{3}}, {}, view({w1_, w2_})), "nowhere");
}

TEST_F(Replacement, aPlaceBesideTheRestOfItsTensorGroupIsBest) {
  NodeView larger = withGang(node("w2").devices(3, 4_GiB).get(), {2, 3});
  EXPECT_EQ(places({{3}}, {}, view({node("w0").devices(4, 4_GiB).get(), w1_, larger})),
            "w1:0 w1:1 w2:0 w2:2");
}

TEST_F(Replacement, aLostNodesRanksStayTogetherElsewhere) {
  NodeView closed = w2_;
  closed.closed = "health";
  closed.closedDetail = "its connection broke";
  EXPECT_EQ(places({{2}, {3}}, {},
                   view({w1_, closed, node("w3").devices(1, 4_GiB).get(),
                         node("w4").devices(2, 4_GiB).get()})),
            "w1:0 w1:1 w3:0 w4:0")
      << "ranks are placed one after the other; each goes to the nearest place there is";
}

TEST_F(Replacement, hardConstraintsHold) {
  spec_.placement.tpWithinNode = true;
  auto spare = node("w3").devices(2, 4_GiB).get();
  EXPECT_EQ(places({{3}}, {}, view({w1_, w2_, spare})), "nowhere") << "its partner is on w2";
  spec_.placement.tpWithinNode = false;
  EXPECT_EQ(places({{3}}, {}, view({w1_, w2_, spare})), "w1:0 w1:1 w2:0 w3:0");
  spec_.placement.exclude = {NodeName{"w3"}};
  EXPECT_EQ(places({{3}}, {}, view({w1_, w2_, spare})), "nowhere");
  spec_.placement.exclude.clear();
  spec_.gpu.memoryMin = 8_GiB;
  EXPECT_EQ(places({{3}}, {}, view({w1_, w2_, spare})), "nowhere");
}

TEST_F(Replacement, aStageKeepsItsKindOfGpu) {
  spec_.stages = {{}, {{{"H100"}, {}, ""}, {}, {}}};
  auto cpus = node("w3").devices(2, 4_GiB).get();
  auto h100s = node("w4").devices(2, 4_GiB, "H100").get();
  EXPECT_EQ(places({{3}}, {}, view({w1_, w2_, cpus})), "nowhere");
  EXPECT_EQ(places({{3}}, {}, view({w1_, w2_, cpus, h100s})), "w1:0 w1:1 w2:0 w4:0");
  EXPECT_EQ(places({{1}}, {}, view({w1_, w2_, cpus, h100s})), "w1:0 w3:0 w2:0 w2:1");
}

TEST_F(Replacement, twoLostRanksNeverShareADevice) {
  EXPECT_EQ(places({{2}, {3}}, {}, view({w1_, w2_, node("w3").devices(1, 4_GiB).get()})),
            "nowhere");
  EXPECT_EQ(places({{2}, {3}}, {}, view({w1_, w2_, node("w3").devices(2, 4_GiB).get()})),
            "w1:0 w1:1 w3:0 w3:1");
}

TEST_F(Replacement, anUnhealthyDeviceIsLeft) {
  NodeView sick = withGang(node("w2").devices(3, 4_GiB).unhealthy(1, "XID 79").get(), {2, 3});
  EXPECT_EQ(places({{3}}, {{3}}, view({w1_, sick})), "w1:0 w1:1 w2:0 w2:2");
}

}  // namespace
}  // namespace muster::sharding::replacement_test

#include "sharding/index.h"

#include "sharding/draft.h"
#include "tests/sharding/cluster_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::sharding::index_test {
namespace {

using test::cluster;
using test::node;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const Owner CHAT{TenantName{"default"}, DeploymentName{"chat"}};

std::vector<std::vector<std::string>> groupsOf(const PlacementIndex& index, Occupancy occupancy) {
  std::vector<std::vector<std::string>> groups;
  for (const auto& [profile, group] : index.groups(occupancy)) {
    groups.emplace_back();
    for (const auto& name : group.nodes) groups.back().push_back(name.value);
  }
  std::sort(groups.begin(), groups.end());
  return groups;
}

TEST(PlacementIndex, groupsNodesThatDifferOnlyInNameRackAndWhichDeviceIsBusy) {
  PlacementIndex index(cluster(node("a").devices(2, 4_GiB).use(0, "x", 1_GiB),
                               node("b").devices(2, 4_GiB).use(1, "y", 1_GiB).rack("r2"),
                               node("c").devices(2, 4_GiB),
                               node("d").devices(2, 4_GiB).label("pool", "p"),
                               node("e").devices(1, 4_GiB, "cpu", 0).devices(1, 4_GiB, "cpu", 1)));

  EXPECT_THAT(groupsOf(index, Occupancy::NOW), ElementsAre(ElementsAre("a", "b"), ElementsAre("c"),
                                                           ElementsAre("d"), ElementsAre("e")));
  EXPECT_THAT(groupsOf(index, Occupancy::EMPTY),
              ElementsAre(ElementsAre("a", "b", "c"), ElementsAre("d"), ElementsAre("e")));
}

TEST(PlacementIndex, keepsClosedNodesInTheEmptyGroupsOnly) {
  PlacementIndex index(cluster(node("a").devices(1, 4_GiB).closed("cordoned", "by anna"),
                               node("b").devices(1, 4_GiB)));
  EXPECT_THAT(groupsOf(index, Occupancy::NOW), ElementsAre(ElementsAre("b")));
  EXPECT_THAT(groupsOf(index, Occupancy::EMPTY), ElementsAre(ElementsAre("a", "b")));
}

TEST(PlacementIndex, movesANodeBetweenGroupsAndForgetsEmptyOnes) {
  PlacementIndex index(cluster(node("a").devices(1, 4_GiB), node("b").devices(1, 4_GiB)));
  index.put(node("b").devices(1, 4_GiB).use(0, "chat", 1_GiB).get());
  EXPECT_THAT(groupsOf(index, Occupancy::NOW), ElementsAre(ElementsAre("a"), ElementsAre("b")));
  EXPECT_THAT(index.nodesOf(CHAT), ElementsAre(NodeName{"b"}));

  EXPECT_TRUE(index.take({"b"}).has_value());
  EXPECT_FALSE(index.take({"b"}).has_value());
  EXPECT_THAT(groupsOf(index, Occupancy::NOW), ElementsAre(ElementsAre("a")));
  EXPECT_THAT(index.nodesOf(CHAT), IsEmpty());
  EXPECT_EQ(index.devices(), 1u);
  EXPECT_EQ(index, PlacementIndex(cluster(node("a").devices(1, 4_GiB))));
}

TEST(PlacementIndex, knowsTheLargestDeviceWhileItIsThere) {
  PlacementIndex index(cluster(node("a").devices(1, 4_GiB), node("b").devices(2, 9_GiB)));
  EXPECT_EQ(index.largestDevice(), 9_GiB);
  index.put(node("b").devices(1, 2_GiB).get());
  EXPECT_EQ(index.largestDevice(), 4_GiB);
  EXPECT_EQ(index.devices(), 2u);
}

TEST(PlacementIndex, leavesOutDevicesThatItsDeploymentUsesAlready) {
  PlacementIndex index(CHAT);
  index.put(node("a").devices(2, 4_GiB).use(0, "chat", 1_GiB).get());
  index.put(node("b").devices(2, 4_GiB).use(1, "chat", 2_GiB).get());
  index.put(node("c").devices(2, 4_GiB).use(1, "other", 2_GiB).get());
  EXPECT_THAT(groupsOf(index, Occupancy::NOW),
              ElementsAre(ElementsAre("a", "b"), ElementsAre("c")));
}

TEST(PlacementDraft, changesNothingBelowIt) {
  auto before = cluster(node("a").devices(1, 4_GiB), node("b").devices(1, 4_GiB));
  PlacementIndex index(before);
  PlacementDraft draft(index);
  draft.close({"a"}, "health", "not attached to the new leader yet");
  auto b = draft.take({"b"});
  ASSERT_TRUE(b.has_value());
  EXPECT_EQ(draft.find({"b"}), nullptr) << "while it is taken it is not there";
  addUse(*b, {{0}, {"b"}, {{0}}, 1_GiB}, CHAT, {3});
  draft.put(*b);

  EXPECT_EQ(draft.find({"a"})->closed, "health");
  EXPECT_EQ(draft.find({"b"})->devices[0].uses.size(), 1u);
  EXPECT_THAT(draft.nodesOf(CHAT), ElementsAre(NodeName{"b"}));
  EXPECT_EQ(viewOf(index), before);
}

}  // namespace
}  // namespace muster::sharding::index_test

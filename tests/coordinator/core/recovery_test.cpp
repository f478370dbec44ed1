// Shard-level recovery as the core decides it: who is replaced, where, and who goes on.
#include "coordinator/core/advance.h"
#include "coordinator/core/invariants.h"
#include "coordinator/core/limits.h"
#include "tests/coordinator/core/core_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::coordinator::recovery_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::node;
using testing::spec;

// chat/0: two stages of two ranks, on w1:0 w1:1 w2:0 w2:1. w3 is spare.
class Recovery : public ::testing::Test {
 protected:
  void bringUp(const testing::SpecBuilder& wanted = spec("chat").devices(4).native(),
               uint32_t level = SCHEMA_LEVEL_ADVANCES) {
    for (const char* name : {"w1", "w2", "w3"}) cluster.addNode(node(name).cpus(2, 4_GiB));
    if (level > SCHEMA_LEVEL_FIRST) cluster.applyRaw(SchemaLevelRaised{level, {{"co1"}}});
    // Below the planner: what a model needs is no matter here.
    cluster.applyRaw(ModelRecorded{{.source = wanted.get().model.source, .digest = "0"}});
    cluster.applyRaw(DeploymentApplied{wanted.get(), cluster.state.nextUid, {}});
    ReplicaPlaced placed{.deployment = cluster.deployment("chat").uid,
                         .replica = {0},
                         .generation = {1},
                         .revision = cluster.deployment("chat").revision,
                         .plan = {.tensor = 2, .pipeline = 2, .stageFirstLayer = {0, 1}}};
    for (uint32_t rank = 0; rank < 4; ++rank) {
      placed.placement.ranks.push_back({{rank}, {rank < 2 ? "w1" : "w2"}, {{rank % 2}}, 1_GiB});
    }
    ASSERT_EQ(cluster.applyRaw(placed).rejected, std::nullopt);
    cluster.bringUp();
    ASSERT_EQ(cluster.replica("chat", 0).phase, ReplicaPhase::READY);
  }
  void TearDown() override { EXPECT_THAT(violations(cluster.state), IsEmpty()); }

  uint64_t generation() { return cluster.replica("chat", 0).current->generation.value; }
  uint32_t pid(uint32_t rank) {
    RankRef ref = cluster.rankOf("chat", 0, rank);
    for (const auto& [name, agent] : cluster.agents) {
      if (agent.ranks.contains(ref)) return agent.ranks.at(ref).pid;
    }
    return 0;
  }
  std::vector<uint32_t> pids() { return {pid(0), pid(1), pid(2), pid(3)}; }
  void fail(uint32_t rank) {
    cluster.failRank(cluster.rankOf("chat", 0, rank), Reason::RANK_CRASHED, "killed");
  }

  CoreCluster cluster;
};

TEST_F(Recovery, aRankThatDiesIsReplacedAndTheOthersKeepTheirProcess) {
  bringUp();
  auto before = pids();
  fail(3);
  cluster.settle();
  EXPECT_EQ(generation(), 2u);
  EXPECT_EQ(cluster.places("chat", 0), "w1:0 w1:1 w2:0 w2:1");
  auto after = pids();
  EXPECT_THAT((std::vector{after[0], after[1], after[2]}),
              ElementsAre(before[0], before[1], before[2]));
  EXPECT_NE(after[3], before[3]);
  EXPECT_THAT(cluster.state.retired, IsEmpty()) << "its memory passed on at once";
  EXPECT_THAT(cluster.eventsOf("Advanced"),
              ElementsAre(HasSubstr("rank 3 (w2:1) starts anew as rank 3 (w2:1), 3 ranks keep")));
  cluster.setRanks(ReplicaPhase::READY);
  cluster.settle();
  EXPECT_EQ(cluster.replica("chat", 0).phase, ReplicaPhase::READY);
}

TEST_F(Recovery, everyRankMayBeLostInTurn) {
  bringUp();
  for (uint32_t rank = 0; rank < 4; ++rank) {
    auto before = pids();
    fail(rank);
    cluster.bringUp();
    EXPECT_EQ(cluster.replica("chat", 0).phase, ReplicaPhase::READY) << "rank " << rank;
    for (uint32_t other = 0; other < 4; ++other) {
      EXPECT_EQ(pid(other) == before[other], other != rank) << rank << ", " << other;
    }
  }
  EXPECT_THAT(cluster.eventsOf("Retired"), IsEmpty());
}

TEST_F(Recovery, theRanksOfALostNodeGoElsewhereAndItsDevicesStayTaken) {
  bringUp();
  auto before = pids();
  cluster.disconnect(nodeName("w2"));
  cluster.pass(BROKEN_GRACE + 1_s);
  EXPECT_EQ(cluster.places("chat", 0), "w1:0 w1:1 w3:0 w3:1");
  EXPECT_EQ(pid(0), before[0]);
  EXPECT_EQ(pid(1), before[1]);
  ASSERT_EQ(cluster.state.retired.size(), 1u);
  EXPECT_EQ(cluster.state.retired.begin()->second.ranks.size(), 2u);
  EXPECT_TRUE(cluster.state.reservations.contains(nodeName("w2")));
  cluster.connect(nodeName("w2"));
  cluster.pass(1_s);
  EXPECT_THAT(cluster.state.retired, IsEmpty());
  EXPECT_FALSE(cluster.state.reservations.contains(nodeName("w2")));
}

TEST_F(Recovery, aDeviceThatIsGoneIsLeft) {
  bringUp();
  cluster.agents.at(nodeName("w2")).info.devices.pop_back();
  cluster.connect(nodeName("w2"));
  cluster.settle();
  EXPECT_EQ(cluster.places("chat", 0), "w1:0 w1:1 w2:0 w3:0");
  EXPECT_THAT(cluster.eventsOf("Advanced"), ElementsAre(HasSubstr("w2:1 is gone or smaller")));
}

TEST_F(Recovery, aDeviceThatIsUnhealthyIsLeftAndTheOthersKeepTheirProcess) {
  bringUp();
  auto before = pids();
  cluster.observed.nodes.at({"w2"}).hello->devices[1].unhealthy = "XID 79";
  cluster.settle();
  cluster.setRanks(ReplicaPhase::READY);
  cluster.settle();
  EXPECT_EQ(generation(), 2u);
  EXPECT_EQ(cluster.places("chat", 0), "w1:0 w1:1 w2:0 w3:0");
  EXPECT_EQ(pid(0), before[0]);
  EXPECT_EQ(pid(2), before[2]);
  EXPECT_EQ(cluster.replica("chat", 0).phase, ReplicaPhase::READY);
}

TEST_F(Recovery, aProcessThatIsStillDyingIsWaitedFor) {
  bringUp();
  RankRef ref = cluster.rankOf("chat", 0, 3);
  auto& rank = cluster.agents.at(nodeName("w2")).ranks.at(ref);
  rank.phase = ReplicaPhase::FAILED;
  rank.reason = Reason::OUT_OF_GPU_MEMORY;
  cluster.heartbeat();
  cluster.settle();
  EXPECT_EQ(generation(), 1u);
  EXPECT_THAT(cluster.eventsOf("Retired"), IsEmpty());
  cluster.agents.at(nodeName("w2")).ranks.at(ref).pid = 0;
  cluster.heartbeat();
  cluster.settle();
  EXPECT_EQ(cluster.places("chat", 0), "w1:0 w1:1 w2:0 w2:1");
  EXPECT_EQ(generation(), 2u);
}

TEST_F(Recovery, aProcessThatCannotDieIsReplacedElsewhere) {
  bringUp();
  auto& rank = cluster.agents.at(nodeName("w2")).ranks.at(cluster.rankOf("chat", 0, 3));
  rank.phase = ReplicaPhase::FAILED;
  cluster.agents.at(nodeName("w2")).stopsRanks = false;
  cluster.heartbeat();
  cluster.pass(3_s);
  EXPECT_EQ(cluster.places("chat", 0), "w1:0 w1:1 w2:0 w3:0");
  EXPECT_EQ(cluster.state.retired.size(), 1u);
}

TEST_F(Recovery, withoutAPlaceForTheLostRankTheGangEnds) {
  bringUp();
  cluster.applyRaw(NodeCordoned{nodeName("w3"), "fan"});
  cluster.disconnect(nodeName("w2"));
  cluster.pass(BROKEN_GRACE + 1_s);
  EXPECT_EQ(cluster.places("chat", 0), "-");
  EXPECT_THAT(cluster.eventsOf("Advanced"), IsEmpty());
}

TEST_F(Recovery, whatNeverBecomesReadyStartsAnewAsAWhole) {
  bringUp();
  fail(3);
  for (int i = 0; i < 3; ++i) {
    cluster.settle();
    fail(3);  // before it is Ready again
  }
  cluster.settle();
  EXPECT_EQ(cluster.places("chat", 0), "-");
  EXPECT_EQ(cluster.eventsOf("Advanced").size(), 3u);
}

TEST_F(Recovery, otherEnginesStartAnewAsAWhole) {
  bringUp(spec("chat").devices(4));
  fail(3);
  cluster.settle();
  EXPECT_EQ(cluster.places("chat", 0), "-");
  EXPECT_EQ(cluster.replica("chat", 0).phase, ReplicaPhase::FAILED);
}

TEST_F(Recovery, nothingIsWrittenThatOlderCoordinatorsDoNotUnderstand) {
  bringUp(spec("chat").devices(4).native(), SCHEMA_LEVEL_FIRST);
  fail(3);
  cluster.settle();
  EXPECT_EQ(cluster.places("chat", 0), "-");
}

TEST_F(Recovery, anAdvanceThatDoesNotFitIsRefused) {
  bringUp();
  const PlacedGeneration& current = *cluster.replica("chat", 0).current;
  ReplicaPlaced good{.deployment = cluster.deployment("chat").uid,
                     .replica = {0},
                     .generation = {2},
                     .revision = current.revision,
                     .plan = current.plan,
                     .placement = current.placement};
  good.placement.ranks[3].node = nodeName("w3");
  auto refused = [&](const char* why, auto change) {
    ReplicaPlaced body = good;
    change(body);
    State copy = cluster.state;
    EXPECT_TRUE(apply(copy, copy.applied.next(), Command{.body = body}).rejected) << why;
  };
  refused("generations are counted", [](auto& body) { body.generation = {5}; });
  refused("weights fit one plan only", [](auto& body) { body.plan.stageFirstLayer = {0, 2}; });
  refused("nobody stays", [](auto& body) {
    for (auto& rank : body.placement.ranks) rank.node = nodeName("w3");
  });
  refused("the device is taken", [](auto& body) {
    body.placement.ranks[3] = {{3}, nodeName("w2"), {{0}}, 4_GiB};
  });
  refused("it was not promised so much",
          [](auto& body) { body.placement.ranks[3].memory = 2_GiB; });
  State copy = cluster.state;
  EXPECT_EQ(apply(copy, copy.applied.next(), Command{.body = good}).rejected, std::nullopt);
  EXPECT_THAT(violations(copy), IsEmpty());
}

}  // namespace
}  // namespace muster::coordinator::recovery_test

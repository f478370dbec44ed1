#include "coordinator/core/drain.h"
#include "coordinator/core/limits.h"
#include "tests/coordinator/core/core_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace muster::coordinator::reconcile_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::node;
using testing::spec;

class Reconcile : public ::testing::Test {
 protected:
  void addNodes(uint32_t count, uint32_t devices = 2) {
    for (uint32_t i = 1; i <= count; ++i) {
      cluster.addNode(node("w" + std::to_string(i)).cpus(devices, 4_GiB));
    }
  }
  void submit(const CommandBody& body) {
    auto outcome = cluster.request(body);
    ASSERT_TRUE(outcome.ok()) << outcome.refusal().text;
  }
  NodePhase phaseOf(const std::string& name) { return cluster.state.nodes.at({name}).phase(); }
  size_t runningRanks() {
    size_t count = 0;
    for (const auto& [name, agent] : cluster.agents) count += agent.ranks.size();
    return count;
  }

  CoreCluster cluster;
};

TEST_F(Reconcile, placesAGangAndSeesItBecomeReady) {
  addNodes(2);
  submit(applyOf(spec("chat").devices(2)));
  EXPECT_EQ(cluster.deployment("chat").phase, DeploymentPhase::PENDING);
  cluster.settle();
  EXPECT_EQ(cluster.places("chat", 0), "w1:0 w1:1");
  EXPECT_EQ(cluster.replica("chat", 0).phase, ReplicaPhase::LOADING);
  EXPECT_EQ(cluster.deployment("chat").phase, DeploymentPhase::STARTING);
  cluster.setRanks(ReplicaPhase::READY);
  cluster.settle();
  EXPECT_EQ(cluster.deployment("chat").phase, DeploymentPhase::READY);
  EXPECT_EQ(cluster.deployment("chat").message, "1 of 1 replicas ready");
}

TEST_F(Reconcile, comesToRest) {
  addNodes(2);
  submit(applyOf(spec("chat").devices(2).replicas(2)));
  cluster.bringUp();
  EXPECT_FALSE(cluster.step());
}

TEST_F(Reconcile, tellsTheOtherRanksWhereTheirGroupMeets) {
  addNodes(2, 1);
  submit(applyOf(spec("chat").devices(2)));
  cluster.settle();
  RankRef second = cluster.rankOf("chat", 0, 1);
  EXPECT_EQ(cluster.agents.at({"w2"}).wanted.at(second).rendezvous, "10.0.0.1:4000");
  EXPECT_EQ(cluster.agents.at({"w2"}).wanted.at(second).secret,
            cluster.replica("chat", 0).current->secret);
}

TEST_F(Reconcile, drawsAnotherSecretForEachGeneration) {
  addNodes(2);
  submit(applyOf(spec("chat").replicas(2)));
  cluster.settle();
  EXPECT_NE(cluster.replica("chat", 0).current->secret, cluster.replica("chat", 1).current->secret);
  EXPECT_NE(cluster.replica("chat", 0).current->secret, GroupSecret{});
}

TEST_F(Reconcile, waitsWithNamedNodesAndIsAskedAgainWhenSomethingIsFree) {
  addNodes(1);
  submit(applyOf(spec("first").devices(2)));
  cluster.bringUp();
  submit(applyOf(spec("second").devices(2)));
  cluster.settle();
  const ReplicaState& waiting = cluster.replica("second", 0);
  EXPECT_EQ(waiting.phase, ReplicaPhase::PENDING);
  EXPECT_EQ(waiting.reason, Reason::WAITING_FOR_CAPACITY);
  ASSERT_EQ(waiting.verdicts.size(), 1u);
  EXPECT_EQ(waiting.verdicts[0].node.value, "w1");
  EXPECT_THAT(waiting.verdicts[0].detail, HasSubstr("first"));
  EXPECT_EQ(cluster.deployment("second").reason, Reason::WAITING_FOR_CAPACITY);
  submit(deleteOf("first"));
  cluster.settle();
  EXPECT_EQ(cluster.places("second", 0), "w1:0 w1:1");
  EXPECT_EQ(cluster.state.findDeployment({"default"}, {"first"}), nullptr);
}

// A command has a limit of size, and a cluster may have more nodes than there are words in it.
TEST_F(Reconcile, putsAWordOfSomeNodesIntoTheLogWhenThereAreMany) {
  addNodes(70, 1);
  submit(applyOf(spec("large").devices(70)));
  submit(applyOf(spec("second").replicas(3)));
  cluster.settle();
  for (uint32_t number = 0; number < 3; ++number) {
    const ReplicaState& waiting = cluster.replica("second", number);
    EXPECT_EQ(waiting.reason, Reason::WAITING_FOR_CAPACITY);
    EXPECT_EQ(waiting.verdicts.size(), 64u);
    EXPECT_EQ(waiting.verdicts.front().node.value, "w1");
    EXPECT_THAT(waiting.message, HasSubstr("and 62 more"));
  }
}

TEST_F(Reconcile, placesALargeDeploymentInAFewLooks) {
  addNodes(40, 8);
  submit(applyOf(spec("wide").replicas(320)));
  int looks = 0;
  while (cluster.step()) ++looks;
  EXPECT_LE(looks, 4);
  std::set<std::string> places;
  for (uint32_t number = 0; number < 320; ++number) {
    std::string place = cluster.places("wide", number);
    places.insert(place);
    EXPECT_EQ(place.ends_with(":0"), number < 40) << "each on a node of its own, at first";
  }
  EXPECT_EQ(places.size(), 320u) << "no device twice";
}

TEST_F(Reconcile, scalesInPlace) {
  addNodes(3, 1);
  submit(applyOf(spec("chat").replicas(1)));
  cluster.bringUp();
  RankRef first = cluster.rankOf("chat", 0, 0);
  submit(scaleOf("chat", 3));
  cluster.bringUp();
  EXPECT_EQ(cluster.rankOf("chat", 0, 0), first);
  EXPECT_EQ(cluster.deployment("chat").phase, DeploymentPhase::READY);
  submit(scaleOf("chat", 1));
  cluster.settle();
  EXPECT_EQ(cluster.rankOf("chat", 0, 0), first);
  EXPECT_EQ(cluster.deployment("chat").replicas.size(), 1u);
  EXPECT_EQ(runningRanks(), 1u);
  EXPECT_THAT(cluster.state.retired, IsEmpty());
}

TEST_F(Reconcile, keepsAReplicaThatWasToGoAndIsWantedAgain) {
  addNodes(1, 1);
  submit(applyOf(spec("chat").replicas(1)));
  cluster.bringUp();
  RankRef first = cluster.rankOf("chat", 0, 0);
  submit(scaleOf("chat", 0));
  submit(scaleOf("chat", 1));
  cluster.bringUp();
  EXPECT_EQ(cluster.rankOf("chat", 0, 0), first);
  EXPECT_EQ(cluster.replica("chat", 0).phase, ReplicaPhase::READY);
  EXPECT_EQ(cluster.deployment("chat").phase, DeploymentPhase::READY);
}

TEST_F(Reconcile, replacesReplicasOneAtATimeWhenTheSpecChanges) {
  addNodes(3, 1);
  submit(applyOf(spec("chat").replicas(2)));
  cluster.bringUp();
  submit(applyOf(spec("chat").replicas(2).argument("max-num-seqs", "256")));
  cluster.settle();
  EXPECT_EQ(cluster.deployment("chat").phase, DeploymentPhase::UPDATING);
  EXPECT_EQ(cluster.replica("chat", 0).current->revision.value, 2u);
  EXPECT_EQ(cluster.replica("chat", 1).current->revision.value, 1u) << "still serves";
  EXPECT_EQ(cluster.replica("chat", 1).phase, ReplicaPhase::READY);
  cluster.bringUp();
  cluster.bringUp();
  EXPECT_EQ(cluster.replica("chat", 1).current->revision.value, 2u);
  EXPECT_EQ(cluster.deployment("chat").phase, DeploymentPhase::READY);
}

TEST_F(Reconcile, givesAnOldGenerationTheSpecItWasPlacedFor) {
  addNodes(3, 1);
  submit(applyOf(spec("chat").replicas(2)));
  cluster.bringUp();
  submit(applyOf(spec("chat").replicas(2).argument("max-num-seqs", "256")));
  cluster.settle();
  RankRef old = cluster.rankOf("chat", 1, 0);
  RankRef fresh = cluster.rankOf("chat", 0, 0);
  for (const auto& [name, agent] : cluster.agents) {
    if (agent.wanted.contains(old)) {
      EXPECT_THAT(agent.wanted.at(old).engine.args, IsEmpty());
    }
    if (agent.wanted.contains(fresh)) {
      EXPECT_EQ(agent.wanted.at(fresh).engine.args.size(), 1u);
    }
  }
}

TEST_F(Reconcile, startsAgainWithBackOffAfterACrashAndKeepsTheFirstError) {
  addNodes(1, 2);
  submit(applyOf(spec("chat").devices(2)));
  cluster.bringUp();
  Generation before = cluster.replica("chat", 0).current->generation;
  cluster.failRank(cluster.rankOf("chat", 0, 1), Reason::RANK_CRASHED, "boom at line 3");
  cluster.settle();
  const ReplicaState& failed = cluster.replica("chat", 0);
  EXPECT_FALSE(failed.current);
  EXPECT_EQ(failed.phase, ReplicaPhase::FAILED);
  EXPECT_EQ(failed.reason, Reason::RANK_CRASHED);
  EXPECT_EQ(failed.firstError, "rank 1 (w1:1): boom at line 3");
  EXPECT_EQ(failed.retryAt, cluster.now + 1_s);
  EXPECT_EQ(cluster.wakeAt, cluster.now + 1_s);
  EXPECT_EQ(runningRanks(), 0u) << "the survivors were stopped";
  cluster.pass(1_s);
  ASSERT_TRUE(cluster.replica("chat", 0).current);
  EXPECT_GT(cluster.replica("chat", 0).current->generation, before);
  cluster.failRank(cluster.rankOf("chat", 0, 0), Reason::RANK_CRASHED, "again");
  cluster.settle();
  EXPECT_EQ(cluster.replica("chat", 0).retryAt, cluster.now + 2_s) << "twice as long";
}

TEST_F(Reconcile, seesAProcessThatDiedUnseen) {
  addNodes(1);
  submit(applyOf(spec("chat")));
  cluster.bringUp();
  cluster.agents.at({"w1"}).ranks.clear();
  cluster.heartbeat();
  cluster.settle();
  EXPECT_EQ(cluster.replica("chat", 0).reason, Reason::RANK_CRASHED);
  EXPECT_THAT(cluster.eventsOf("RankFailed"), ElementsAre(HasSubstr("process 100 is gone")));
}

TEST_F(Reconcile, endsWhatDoesNotBecomeReadyInTime) {
  addNodes(1);
  submit(applyOf(spec("chat")));
  cluster.settle();
  cluster.pass(30_min - 1_ms);
  EXPECT_TRUE(cluster.replica("chat", 0).current);
  cluster.pass(1_ms);
  EXPECT_EQ(cluster.replica("chat", 0).reason, Reason::JOIN_TIMEOUT);
}

TEST_F(Reconcile, adoptsTheRanksOfAnAgentThatComesBackWithinTheGrace) {
  addNodes(2);
  submit(applyOf(spec("chat").devices(2)));
  cluster.bringUp();
  RankRef rank = cluster.rankOf("chat", 0, 0);
  cluster.disconnect({"w1"});
  cluster.settle();
  EXPECT_EQ(phaseOf("w1"), NodePhase::UNREACHABLE) << "at once";
  EXPECT_EQ(cluster.wakeAt, cluster.now + BROKEN_GRACE);
  cluster.pass(BROKEN_GRACE - 1_ms);
  cluster.agents.at({"w1"}).incarnation = {2, 2};
  cluster.connect({"w1"});
  cluster.settle();
  EXPECT_EQ(phaseOf("w1"), NodePhase::READY);
  EXPECT_EQ(cluster.rankOf("chat", 0, 0), rank);
  cluster.pass(10_s);
  EXPECT_EQ(cluster.rankOf("chat", 0, 0), rank);
}

// It adopts processes first and asks them then; a replica that serves goes on being routed to.
TEST_F(Reconcile, keepsWhatItKnowsOfARankThatItsAgentHasNotAskedYet) {
  addNodes(1);
  submit(applyOf(spec("chat").devices(2)));
  cluster.bringUp();
  RankRef ref = cluster.rankOf("chat", 0, 0);
  for (auto& [name, agent] : cluster.agents) {
    auto rank = agent.ranks.find(ref);
    if (rank != agent.ranks.end()) rank->second.phase = ReplicaPhase::PENDING;
  }
  cluster.heartbeat();
  cluster.settle();
  EXPECT_EQ(cluster.replica("chat", 0).phase, ReplicaPhase::READY);
}

TEST_F(Reconcile, placesElsewhereBeyondTheGraceAndFreesNothingUntilTheNodeIsSeenEmpty) {
  addNodes(2);
  submit(applyOf(spec("chat").devices(2)));
  cluster.bringUp();
  RankRef old = cluster.rankOf("chat", 0, 0);
  cluster.disconnect({"w1"});
  cluster.pass(BROKEN_GRACE);
  EXPECT_EQ(cluster.places("chat", 0), "w2:0 w2:1");
  EXPECT_EQ(phaseOf("w1"), NodePhase::UNREACHABLE) << "its lease goes on";
  cluster.pass(LEASE);
  EXPECT_EQ(phaseOf("w1"), NodePhase::LOST);
  EXPECT_TRUE(cluster.state.reservations.contains({"w1"})) << "it may still run there";

  FakeAgent& agent = cluster.agents.at({"w1"});
  EXPECT_TRUE(agent.ranks.contains(old));
  agent.stopsRanks = false;
  cluster.connect({"w1"});
  cluster.settle();
  EXPECT_EQ(phaseOf("w1"), NodePhase::READY);
  EXPECT_THAT(agent.wanted, IsEmpty()) << "told to stop what is old";
  EXPECT_TRUE(cluster.state.reservations.contains({"w1"})) << "and has not yet";
  agent.ranks.clear();
  cluster.heartbeat();
  cluster.settle();
  EXPECT_FALSE(cluster.state.reservations.contains({"w1"}));
}

TEST_F(Reconcile, doesNotFreeDevicesOnAReportFromBeforeTheOrder) {
  addNodes(1);
  submit(applyOf(spec("chat")));
  cluster.bringUp();
  FakeAgent& agent = cluster.agents.at({"w1"});
  agent.stopsRanks = false;
  submit(deleteOf("chat"));
  cluster.settle();
  // It has obeyed, but the list of ranks is from before and might miss what it had just started.
  ObservedNode& seen = cluster.observed.nodes.at({"w1"});
  seen.ranks.clear();
  seen.reported = {};
  cluster.settle();
  EXPECT_TRUE(cluster.state.reservations.contains({"w1"}));
  seen.reported = seen.obeyed;
  cluster.settle();
  EXPECT_FALSE(cluster.state.reservations.contains({"w1"}));
}

TEST_F(Reconcile, declaresASilentNodeLostWhenItsLeaseEnds) {
  addNodes(2);
  submit(applyOf(spec("chat")));
  cluster.bringUp();
  cluster.agents.at({"w1"}).connected = false;  // the connection stands, nothing comes
  cluster.pass(LEASE - 1_ms);
  EXPECT_EQ(phaseOf("w1"), NodePhase::READY);
  cluster.pass(1_ms);
  EXPECT_EQ(phaseOf("w1"), NodePhase::LOST);
  EXPECT_EQ(cluster.places("chat", 0), "w2:0");
}

TEST_F(Reconcile, givesEveryNodeAFullLeaseAfterATakeover) {
  addNodes(2);
  submit(applyOf(spec("chat")));
  cluster.bringUp();
  cluster.startLeader({2});
  cluster.connect({"w2"});
  cluster.agents.at({"w1"}).connected = false;
  cluster.pass(TAKEOVER_LEASE - 1_ms);
  EXPECT_EQ(phaseOf("w1"), NodePhase::READY);
  EXPECT_EQ(cluster.places("chat", 0), "w1:0");
  cluster.pass(1_ms);
  EXPECT_EQ(phaseOf("w1"), NodePhase::LOST);
  EXPECT_EQ(cluster.places("chat", 0), "w2:0");
}

TEST_F(Reconcile, waitsLessAfterATakeoverWhereARemainderWasLogged) {
  addNodes(2);
  cluster.disconnect({"w1"});
  cluster.settle();
  cluster.applyRaw(NodePhaseChanged{{"w1"}, NodePhase::READY, "", {}});
  cluster.applyRaw(NodePhaseChanged{{"w1"}, NodePhase::UNREACHABLE, "broke", 3_s});
  cluster.startLeader({2});
  cluster.connect({"w2"});
  cluster.pass(3_s - 1_ms);
  EXPECT_EQ(phaseOf("w1"), NodePhase::UNREACHABLE);
  cluster.pass(1_ms);
  EXPECT_EQ(phaseOf("w1"), NodePhase::LOST);
}

TEST_F(Reconcile, sendsEachNodeOneOrderInANewEpoch) {
  addNodes(2);
  submit(applyOf(spec("chat").devices(2)));
  cluster.bringUp();
  auto ranks = cluster.agents.at({"w1"}).ranks;
  cluster.startLeader({2});
  cluster.connect({"w1"});
  cluster.connect({"w2"});
  SeededRandom random(1);
  EXPECT_EQ(reconcile(cluster.state, cluster.observed, cluster.now, random).orders.size(), 2u);
  cluster.settle();
  EXPECT_EQ(cluster.agents.at({"w1"}).ranks, ranks) << "the same processes";
  EXPECT_EQ(cluster.agents.at({"w1"}).stored.token.epoch.value, 2u);
}

TEST_F(Reconcile, declaresFewNodesLostWithoutAnOperatorsWord) {
  addNodes(5);
  submit(applyOf(spec("a").devices(2)));
  submit(applyOf(spec("b").devices(2)));
  cluster.bringUp();
  EXPECT_EQ(cluster.places("b", 0), "w2:0 w2:1");
  cluster.disconnect({"w1"});
  cluster.pass(10_ms);
  cluster.disconnect({"w2"});
  cluster.pass(20_s);
  EXPECT_EQ(phaseOf("w1"), NodePhase::LOST);
  EXPECT_EQ(phaseOf("w2"), NodePhase::UNREACHABLE);
  EXPECT_EQ(cluster.places("a", 0), "w3:0 w3:1");
  EXPECT_EQ(cluster.places("b", 0), "w2:0 w2:1") << "not moved on a guess too many";
  submit(NodeCordoned{{"w2"}, "switch died"});
  cluster.pass(1_s);
  EXPECT_EQ(phaseOf("w2"), NodePhase::LOST);
  EXPECT_EQ(cluster.places("b", 0), "w4:0 w4:1");
}

TEST_F(Reconcile, drainsReplicasToOtherNodesAndSaysWhenTheNodeIsEmpty) {
  addNodes(2);
  submit(applyOf(spec("chat")));
  cluster.bringUp();
  submit(NodeDrainStarted{{"w1"}, "replace fan", false});
  cluster.settle();
  EXPECT_EQ(cluster.places("chat", 0), "w2:0");
  EXPECT_EQ(phaseOf("w1"), NodePhase::DRAINED);
}

TEST_F(Reconcile, drainWaitsForTheOtherReplicasAndSaysSo) {
  addNodes(4, 1);
  submit(applyOf(spec("chat").replicas(2)));
  cluster.bringUp();
  ASSERT_EQ(cluster.places("chat", 0), "w1:0");
  cluster.failRank(cluster.rankOf("chat", 1, 0), Reason::RANK_CRASHED, "x");
  cluster.settle();
  submit(NodeDrainStarted{{"w1"}, "", false});
  cluster.settle();
  EXPECT_EQ(cluster.places("chat", 0), "w1:0");
  auto steps = drainSteps(cluster.state, {"w1"});
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_EQ(steps[0].name, "chat/0");
  EXPECT_EQ(steps[0].blockedBy, "chat/1 is Failed, and all others must serve while one moves");
  EXPECT_EQ(steps[0].reason, Reason::RANK_CRASHED);
  EXPECT_EQ(steps[0].fix, "muster why chat");
  cluster.pass(1_s);
  cluster.bringUp();
  EXPECT_NE(cluster.places("chat", 0), "w1:0");
  EXPECT_EQ(phaseOf("w1"), NodePhase::DRAINED);
}

TEST_F(Reconcile, drainKeepsAReplicaThatHasNoOtherPlaceUnlessForced) {
  addNodes(1);
  submit(applyOf(spec("chat")));
  cluster.bringUp();
  submit(NodeDrainStarted{{"w1"}, "", false});
  cluster.settle();
  EXPECT_EQ(cluster.places("chat", 0), "w1:0");
  EXPECT_THAT(drainSteps(cluster.state, {"w1"})[0].blockedBy, HasSubstr("no other place"));
  EXPECT_EQ(drainSteps(cluster.state, {"w1"})[0].reason, Reason::WAITING_FOR_CAPACITY);
  submit(NodeDrainStarted{{"w1"}, "", true});
  cluster.settle();
  EXPECT_EQ(cluster.places("chat", 0), "-");
  EXPECT_EQ(phaseOf("w1"), NodePhase::DRAINED);
}

TEST_F(Reconcile, movesReplicasOffADeviceThatIsGone) {
  addNodes(2);
  submit(applyOf(spec("chat")));
  cluster.bringUp();
  FakeAgent& agent = cluster.agents.at({"w1"});
  agent.info.devices.erase(agent.info.devices.begin());
  agent.incarnation = {3, 3};
  cluster.connect({"w1"});
  cluster.settle();
  EXPECT_EQ(cluster.replica("chat", 0).reason, Reason::GPU_UNHEALTHY);
  cluster.pass(1_s);
  EXPECT_TRUE(cluster.replica("chat", 0).current);
}

TEST_F(Reconcile, isNotHeldUpByAWorkerThatDescribesItselfWrongly) {
  addNodes(1);
  NodeInfo odd = node("w2").cpus(2, 4_GiB).get();
  odd.devices[1].index = {0};
  ObservedNode& seen = cluster.observed.nodes[{"w2"}];
  seen.attached = true;
  seen.agent = {5, 5};
  seen.hello = odd;
  seen.leaseEnd = cluster.now + LEASE;
  submit(applyOf(spec("chat")));
  cluster.bringUp();
  EXPECT_EQ(cluster.deployment("chat").phase, DeploymentPhase::READY);
  EXPECT_EQ(cluster.state.findNode({"w2"}), nullptr);
}

TEST_F(Reconcile, finishesADeletionThoughALostNodeStillHoldsRanks) {
  addNodes(2);
  submit(applyOf(spec("chat")));
  cluster.bringUp();
  cluster.disconnect({"w1"});
  cluster.settle();
  submit(deleteOf("chat"));
  cluster.settle();
  EXPECT_EQ(cluster.deployment("chat").phase, DeploymentPhase::DRAINING);
  cluster.pass(LEASE);
  EXPECT_EQ(cluster.state.findDeployment({"default"}, {"chat"}), nullptr);
  EXPECT_TRUE(cluster.state.reservations.contains({"w1"}));
}

}  // namespace
}  // namespace muster::coordinator::reconcile_test

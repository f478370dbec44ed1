#include "tests/coordinator/core/core_cluster.h"
#include "tests/support/golden.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::coordinator::apply_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::node;
using testing::spec;

struct Apply : ::testing::Test {
  Apply() {
    cluster.addNode(node("w1").cpus(2, 4_GiB));
    cluster.addNode(node("w2").cpus(2, 4_GiB));
    EXPECT_TRUE(cluster.request(applyOf(spec("chat").devices(2).replicas(2))).ok());
  }
  // A placement of both ranks on w1, changed by the caller.
  ReplicaPlaced placed() {
    const DeploymentState& chat = cluster.deployment("chat");
    ReplicaPlaced body{.deployment = chat.uid,
                       .replica = {0},
                       .generation = chat.nextGeneration,
                       .revision = chat.revision,
                       .plan = {.tensor = 2, .pipeline = 1},
                       .placement = {},
                       .secret = {}};
    body.placement.ranks = {{{0}, {"w1"}, {{0}}, 4_GiB}, {{1}, {"w1"}, {{1}}, 4_GiB}};
    return body;
  }

  CoreCluster cluster;
};

struct RejectCase {
  const char* name;
  std::function<void(ReplicaPlaced&)> change;
  std::string text;
};

TEST_F(Apply, rejectsAPlacementThatWouldBreakAnInvariantAndChangesNothing) {
  ASSERT_TRUE(cluster.request(NodeCordoned{{"w2"}, "fan"}).ok());
  const RejectCase CASES[] = {
      {"a rank is missing", [](auto& p) { p.placement.ranks.pop_back(); }, "1 ranks are placed"},
      {"no ranks", [](auto& p) { p.plan.tensor = 0; }, "the plan has 0"},
      {"a world beyond counting", [](auto& p) { p.plan.tensor = p.plan.pipeline = 1u << 31; },
       "the plan has 4611686018427387904"},
      {"ranks out of order", [](auto& p) { p.placement.ranks[1].rank = {0}; }, "holds rank 0"},
      {"no memory", [](auto& p) { p.placement.ranks[1].memory = {}; }, "with 0"},
      {"one device for two", [](auto& p) { p.placement.ranks[1].devices = {{0}}; },
       "w1:0 has 4.0 GiB free"},
      {"one device twice",
       [](auto& p) {
         p.placement.ranks[1].devices = {{1}, {1}};
       },
       "named twice"},
      {"no device", [](auto& p) { p.placement.ranks[1].devices = {}; }, "has no device"},
      {"too much memory", [](auto& p) { p.placement.ranks[1].memory = 5_GiB; }, "wanted 5.0 GiB"},
      {"memory that wraps",
       [](auto& p) {
         p.placement.ranks[0].memory = {UINT64_MAX};
         p.placement.ranks[1].devices = {{0}};
       },
       "overflows"},
      {"a device that is not there", [](auto& p) { p.placement.ranks[1].devices = {{7}}; },
       "w1:7 does not exist"},
      {"a node that is not there", [](auto& p) { p.placement.ranks[1].node = {"w9"}; },
       "w9 is not registered"},
      {"a cordoned node", [](auto& p) { p.placement.ranks[1].node = {"w2"}; },
       "w2 is cordoned by admin/anna"},
      {"a used generation", [](auto& p) { p.generation = {0}; }, "the next one is 1"},
      {"an old revision", [](auto& p) { p.revision = {0}; }, "planned for revision 0"},
      {"a replica too many", [](auto& p) { p.replica = {2}; }, "is not wanted"},
      {"no deployment", [](auto& p) { p.deployment = {9}; }, "is not wanted"},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.name);
    ReplicaPlaced body = placed();
    c.change(body);
    State before = cluster.state;
    Applied applied = cluster.applyRaw(body);
    ASSERT_TRUE(applied.rejected);
    EXPECT_THAT(applied.rejected->text, HasSubstr(c.text));
    EXPECT_THAT(applied.events, ::testing::IsEmpty());
    EXPECT_EQ(applied.writes.size(), 1u) << "only the applied index";
    EXPECT_EQ(cluster.state.applied, before.applied.next());
    EXPECT_EQ(cluster.state.deployments, before.deployments);
    EXPECT_EQ(cluster.state.nodes, before.nodes);
    EXPECT_EQ(cluster.state.reservations, before.reservations);
  }
  EXPECT_FALSE(cluster.applyRaw(placed()).rejected) << "the unchanged one is taken";
  EXPECT_TRUE(cluster.applyRaw(placed()).rejected) << "and not twice";
}

TEST_F(Apply, rejectsWhatASecondCommandOfOneRequestAsks) {
  RequestId id{{4, 4}, cluster.now};
  EXPECT_FALSE(cluster.applyRaw(scaleOf("chat", 1), id).rejected);
  auto first = *cluster.state.findOutcome(id);
  EXPECT_TRUE(cluster.applyRaw(scaleOf("chat", 5), id).rejected);
  EXPECT_EQ(*cluster.state.findOutcome(id), first);
  EXPECT_EQ(cluster.deployment("chat").spec.replicas, 1u);
}

TEST_F(Apply, keepsTheOutcomeOfARejectedRequest) {
  RequestId id{{4, 5}, cluster.now};
  EXPECT_TRUE(cluster.applyRaw(scaleOf("nobody", 1), id).rejected);
  ASSERT_TRUE(cluster.state.findOutcome(id));
  EXPECT_EQ(cluster.state.findOutcome(id)->rejected->code, RefusalCode::NOT_FOUND);
}

TEST_F(Apply, countsRevisionsAndLeavesAnEqualSpecAlone) {
  auto equal = spec("chat").devices(2).replicas(2);
  Applied applied = cluster.applyRaw(applyOf(equal));
  EXPECT_FALSE(applied.rejected);
  EXPECT_THAT(applied.events, ::testing::IsEmpty());
  EXPECT_EQ(cluster.deployment("chat").revision.value, 1u);
  cluster.applyRaw(applyOf(equal.replicas(3)));
  EXPECT_EQ(cluster.deployment("chat").revision.value, 2u);
  EXPECT_EQ(cluster.deployment("chat").templateRevision.value, 1u) << "changed in place";
  DeploymentApplied told = applyOf(equal.replicas(3));
  cluster.applyRaw(SchemaLevelRaised{2, {{"co1"}}});
  told.spec.balance = Balance::PREFIX;
  told.spec.model.aliases = {"gpt"};
  cluster.applyRaw(told);
  EXPECT_EQ(cluster.deployment("chat").spec, told.spec);
  EXPECT_EQ(cluster.deployment("chat").templateRevision.value, 1u) << "no rank is told";
  cluster.applyRaw(applyOf(equal.argument("a", "b")));
  EXPECT_EQ(cluster.deployment("chat").templateRevision.value, 4u);
}

TEST_F(Apply, ignoresAClockThatGoesBack) {
  Instant before = cluster.state.clusterTime;
  cluster.now = before - 5_s;
  cluster.applyRaw(scaleOf("chat", 1));
  EXPECT_EQ(cluster.state.clusterTime, before);
}

TEST_F(Apply, keepsTheFirstErrorOfARank) {
  cluster.settle();
  RankRef rank = cluster.rankOf("chat", 0, 1);
  RankProgressed report{.rank = rank, .phase = ReplicaPhase::LOADING, .firstError = "first"};
  cluster.applyRaw(report);
  report.firstError = "second";
  cluster.applyRaw(report);
  EXPECT_EQ(cluster.replica("chat", 0).current->ranks[1].firstError, "first");
}

TEST_F(Apply, derivesTheReplicasPhaseFromItsSlowestRank) {
  cluster.settle();
  auto progress = [&](uint32_t rank, ReplicaPhase phase) {
    cluster.applyRaw(RankProgressed{.rank = cluster.rankOf("chat", 0, rank), .phase = phase});
    return cluster.replica("chat", 0).phase;
  };
  EXPECT_EQ(progress(0, ReplicaPhase::JOINING), ReplicaPhase::LOADING);
  EXPECT_EQ(progress(1, ReplicaPhase::JOINING), ReplicaPhase::JOINING);
  EXPECT_EQ(progress(0, ReplicaPhase::READY), ReplicaPhase::JOINING);
  EXPECT_EQ(cluster.replica("chat", 0).message,
            "1 of 2 ranks past Joining; waiting for rank 1 (w1:1)");
  EXPECT_EQ(progress(1, ReplicaPhase::READY), ReplicaPhase::READY);
  EXPECT_EQ(progress(1, ReplicaPhase::FAILED), ReplicaPhase::FAILED);
}

std::string textOf(const Event& event) {
  static const char* const SEVERITIES[] = {"info ", "warn ", "error"};
  return std::to_string(event.index.value) + "." + std::to_string(event.ordinal) + " " +
         SEVERITIES[static_cast<int>(event.severity)] + " " + event.type + " | " + event.tenant +
         " | " + event.object + " | " + event.message + " | " + event.principal + "\n";
}

// A life: two nodes, a gang, a crash, a lost node, a drain, an update, the end.
TEST(ApplyGolden, tellsPeopleWhatHappened) {
  CoreCluster cluster;
  cluster.addNode(node("w1").cpus(2, 4_GiB));
  cluster.addNode(node("w2").cpus(2, 4_GiB));
  cluster.addNode(node("w3").cpus(2, 4_GiB));
  auto chat = spec("chat").devices(2);
  cluster.request(applyOf(chat)).value();
  cluster.bringUp();
  cluster.request(applyOf(spec("wide").devices(2).replicas(3)), "operator/ben").value();
  cluster.bringUp();
  cluster.pass(90_s);
  cluster.failRank(cluster.rankOf("chat", 0, 1), Reason::OUT_OF_GPU_MEMORY, "wanted 2.1 GiB");
  cluster.pass(1_s);
  cluster.bringUp();
  cluster.request(scaleOf("wide", 1)).value();
  cluster.bringUp();
  cluster.disconnect({"w1"});
  cluster.pass(7_s);
  cluster.bringUp();
  cluster.connect({"w1"});
  cluster.bringUp();
  cluster.request(NodeDrainStarted{{"w2"}, "replace fan", false}).value();
  cluster.pass(1_s);
  cluster.bringUp();
  cluster.request(NodeUncordoned{{"w2"}}).value();
  cluster.request(applyOf(chat.argument("max-num-seqs", "256"))).value();
  cluster.bringUp();
  cluster.bringUp();
  cluster.request(deleteOf("chat")).value();
  cluster.settle();
  std::string text;
  for (const auto& event : cluster.events) text += textOf(event);
  testing::expectGolden("golden/coordinator/events.txt", text);
}

}  // namespace
}  // namespace muster::coordinator::apply_test

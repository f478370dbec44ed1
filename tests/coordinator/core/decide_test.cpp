#include "coordinator/core/limits.h"
#include "tests/coordinator/core/core_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace muster::coordinator::decide_test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::node;
using ::testing::Not;
using testing::spec;

// Two nodes of two devices, and "chat" at revision 2.
struct Decide : ::testing::Test {
  Decide() {
    cluster.addNode(node("gpu01").cpus(2, 4_GiB));
    cluster.addNode(node("gpu02").cpus(2, 4_GiB));
    must(applyOf(spec("chat")));
    must(scaleOf("chat", 2));
  }
  void must(const CommandBody& body) {
    auto outcome = cluster.request(body);
    ASSERT_TRUE(outcome.ok()) << outcome.refusal().text;
  }
  RequestId id(uint64_t number) { return {{1, number}, cluster.now}; }
  Result<Decision> ask(const CommandBody& body, RequestId id = {}) {
    return decide(cluster.state, {"admin/anna", id, body}, cluster.now, {});
  }

  CoreCluster cluster;
};

struct RefusalCase {
  const char* name;
  CommandBody body;
  RefusalCode code;
  std::string text;  // part of it
};

TEST_F(Decide, refusesWhatDoesNotFitTheState) {
  NodeInfo badName = node("GPU 1").get();
  const RefusalCase CASES[] = {
      {"unknown deployment", scaleOf("chta", 1), RefusalCode::NOT_FOUND, "did you mean \"chat\"?"},
      {"nothing near", deleteOf("ranker"), RefusalCode::NOT_FOUND,
       "there is no deployment \"default/ranker\""},
      {"unknown node", NodeCordoned{{"gpu03"}, ""}, RefusalCode::NOT_FOUND, "did you mean \"gpu0"},
      {"unknown node to drain", NodeDrainStarted{{"x"}, "", false}, RefusalCode::NOT_FOUND,
       "there is no node \"x\""},
      {"older revision", scaleOf("chat", 3, 1), RefusalCode::REVISION_CONFLICT,
       "default/chat is at revision 2, expected 1"},
      {"newer revision", deleteOf("chat", 3), RefusalCode::REVISION_CONFLICT,
       "is at revision 2, expected 3"},
      {"revision of an apply", applyOf(spec("chat"), 1), RefusalCode::REVISION_CONFLICT,
       "is at revision 2, expected 1"},
      {"revision of what is not there", applyOf(spec("new"), 4), RefusalCode::REVISION_CONFLICT,
       "default/new does not exist, expected revision 4"},
      {"too many replicas", scaleOf("chat", REPLICAS_MAX + 1), RefusalCode::TOO_LARGE, "10001"},
      {"bad name", applyOf(spec("Chat")), RefusalCode::INVALID_NAME, "Chat"},
      {"bad node name", NodeRegistered{badName, {1, 1}}, RefusalCode::INVALID_NAME, "GPU 1"},
      {"model not inspected", applyOf(spec("llm").native()), RefusalCode::MODEL_NOT_FOUND,
       "no worker has inspected file:/models/llm yet"},
      {"old epoch", LeaderStarted{{"co2"}, {1}, "", {}}, RefusalCode::NOT_LEADER,
       "epoch 1 does not follow epoch 1"},
      {"phase of operators", NodePhaseChanged{{"gpu01"}, NodePhase::DRAINED, "", {}},
       RefusalCode::INVALID_VALUE, "cannot go from Ready to Drained"},
      {"not draining", NodeDrained{{"gpu01"}}, RefusalCode::INVALID_VALUE, "is not draining"},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.name);
    auto decision = ask(c.body);
    ASSERT_FALSE(decision.ok());
    EXPECT_EQ(decision.refusal().code, c.code);
    EXPECT_THAT(decision.refusal().text, HasSubstr(c.text));
  }
}

TEST_F(Decide, refusesAtOnceWhatCanNeverFitAndSaysWhatWould) {
  auto decision = ask(applyOf(spec("big").devices(8)));
  ASSERT_FALSE(decision.ok());
  EXPECT_THAT(decision.refusal().code,
              ::testing::AnyOf(RefusalCode::MODEL_DOES_NOT_FIT, RefusalCode::TOPOLOGY_UNSATISFIED,
                               RefusalCode::NO_MATCHING_GPU));
  EXPECT_THAT(decision.refusal().fixes, Not(IsEmpty()));
}

TEST_F(Decide, takesNewFieldsOnceAllCoordinatorsKeepThem) {
  DeploymentApplied rounded = applyOf(spec("rounded"));
  rounded.spec.model.dtype = "int8";
  DeploymentApplied spread = applyOf(spec("spread"));
  spread.spec.parallel.expert = 2;
  DeploymentApplied named = applyOf(spec("named"));
  named.spec.model.aliases = {"gpt"};
  DeploymentApplied balanced = applyOf(spec("balanced"));
  balanced.spec.balance = Balance::PREFIX;
  const std::vector<DeploymentApplied> bodies{rounded, spread, named, balanced};
  for (const auto& body : bodies) {
    auto early = ask(body);
    ASSERT_FALSE(early.ok());
    EXPECT_EQ(early.refusal().code, RefusalCode::NOT_SUPPORTED_YET);
    EXPECT_THAT(early.refusal().text, HasSubstr("need schema level 2, the cluster has 1"));
  }
  cluster.applyRaw(SchemaLevelRaised{2, {{"co1"}}});
  for (const auto& body : bodies) EXPECT_TRUE(ask(body).ok());
}

TEST_F(Decide, takesTheCutOfAPipelineOnceAllCoordinatorsKeepIt) {
  DeploymentApplied cut = applyOf(spec("cut").cut(1, 2));
  cut.spec.stages = {{{}, {}, LayerRange{0, 0}}, {}};
  cluster.applyRaw(SchemaLevelRaised{2, {{"co1"}}});
  auto early = ask(cut);
  ASSERT_FALSE(early.ok());
  EXPECT_EQ(early.refusal().code, RefusalCode::NOT_SUPPORTED_YET);
  EXPECT_THAT(early.refusal().text, HasSubstr("stages needs schema level 3, the cluster has 2"));
  cluster.applyRaw(SchemaLevelRaised{SCHEMA_LEVEL_STAGES, {{"co1"}}});
  EXPECT_TRUE(ask(cut).ok());
}

TEST_F(Decide, keepsTheNamesOfATenantFromTheOthers) {
  cluster.applyRaw(SchemaLevelRaised{2, {{"co1"}}});
  DeploymentApplied ours = applyOf(spec("first"));
  ours.spec.model.aliases = {"gpt"};
  must(ours);
  DeploymentApplied theirs = applyOf(spec("second"));
  theirs.spec.tenant = {"search"};
  for (const char* taken : {"gpt", "first", "default/first"}) {
    SCOPED_TRACE(taken);
    theirs.spec.model.aliases = {"free", taken};
    auto refused = ask(theirs);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.refusal().code, RefusalCode::INVALID_NAME);
    EXPECT_THAT(refused.refusal().text, HasSubstr("is a name of another tenant's deployment"));
  }
  theirs.spec.model.aliases = {"free"};
  EXPECT_TRUE(ask(theirs).ok());
  DeploymentApplied next = applyOf(spec("third"));
  next.spec.model.aliases = {"gpt"};  // shared inside a tenant
  EXPECT_TRUE(ask(next).ok());
}

TEST_F(Decide, takesAPresetOnceEveryCoordinatorUnderstandsIt) {
  auto asked = applyOf(spec("served").preset(EngineKind::LLAMA_CPP));
  auto early = cluster.request(asked);
  ASSERT_FALSE(early.ok());
  EXPECT_EQ(early.refusal().code, RefusalCode::NOT_SUPPORTED_YET);
  EXPECT_THAT(early.refusal().text, HasSubstr("engine llama.cpp needs schema level 2"));
  cluster.applyRaw(SchemaLevelRaised{SCHEMA_LEVEL_PRESETS, {{"co1"}}});
  auto late = cluster.request(asked);
  EXPECT_TRUE(late.ok()) << late.refusal().text;
}

TEST_F(Decide, takesWhatOnlyHasToWait) {
  must(scaleOf("chat", 4));
  cluster.bringUp();
  EXPECT_TRUE(ask(applyOf(spec("next"))).ok());
}

TEST_F(Decide, refusesADeploymentWhenThereIsNoWorker) {
  CoreCluster empty;
  auto outcome = empty.request(applyOf(spec("chat")));
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.refusal().code, RefusalCode::NO_WORKER);
}

TEST_F(Decide, givesARetryItsFirstAnswer) {
  auto first = cluster.request(scaleOf("chat", 3), "admin/anna", id(7));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->answer,
            R"({"deployment":"default/chat","uid":1,"revision":3,"change":"scaled"})");
  must(scaleOf("chat", 1));
  auto again = cluster.request(scaleOf("chat", 3), "admin/anna", id(7));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, *first);
  EXPECT_EQ(cluster.deployment("chat").spec.replicas, 1u) << "it took effect once";
}

TEST_F(Decide, knowsARequestForTenMinutesAndRefusesItAfterwards) {
  RequestId request = id(7);
  ASSERT_TRUE(cluster.request(scaleOf("chat", 3), "admin/anna", request).ok());
  cluster.now = cluster.now + OUTCOME_KEPT;
  must(NodeCordoned{{"gpu01"}, ""});
  EXPECT_TRUE(ask(scaleOf("chat", 3), request)->earlier);
  cluster.now = cluster.now + 1_ms;
  must(NodeUncordoned{{"gpu01"}});
  EXPECT_THAT(cluster.state.outcomes, IsEmpty());
  auto late = ask(scaleOf("chat", 3), request);
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.refusal().code, RefusalCode::REQUEST_TOO_OLD);
}

TEST_F(Decide, refusesARequestFromTheFuture) {
  RequestId ahead{{1, 1}, cluster.now + REQUEST_AHEAD_MAX + 1_ms};
  auto decision = ask(scaleOf("chat", 3), ahead);
  ASSERT_FALSE(decision.ok());
  EXPECT_EQ(decision.refusal().code, RefusalCode::INVALID_VALUE);
}

TEST_F(Decide, stampsTheCommandNeverBeforeTheNewestOne) {
  Instant newest = cluster.state.clusterTime;
  auto decision = decide(cluster.state, {"admin/anna", {}, scaleOf("chat", 3)}, newest - 5_s, {77});
  ASSERT_TRUE(decision.ok());
  EXPECT_EQ(decision->command->decidedAt, newest);
  EXPECT_EQ(decision->command->decidedWall.unixMs, 77);
  EXPECT_EQ(decision->command->principal, "admin/anna");
}

TEST_F(Decide, refusesToChangeWhatIsBeingDeletedAndNamesWhereItRuns) {
  cluster.bringUp();
  cluster.agents.at({"gpu01"}).stopsRanks = false;
  cluster.agents.at({"gpu02"}).stopsRanks = false;
  must(deleteOf("chat"));
  cluster.settle();
  auto decision = ask(applyOf(spec("chat")));
  ASSERT_FALSE(decision.ok());
  EXPECT_EQ(decision.refusal().code, RefusalCode::REVISION_CONFLICT);
  EXPECT_EQ(decision.refusal().text,
            "default/chat is being deleted; it waits for its ranks to stop on gpu01 gpu02");
}

}  // namespace
}  // namespace muster::coordinator::decide_test

// Plans: what a change would do, which plan may still be carried out, and what it looks like.
#include "coordinator/api_changes.h"
#include "coordinator/core/limits.h"
#include "coordinator/plan_object.h"
#include "tests/coordinator/core/core_cluster.h"
#include "tests/sharding/model_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::coordinator::dry_run_test {
namespace {

using ::testing::HasSubstr;
using testing::node;
using testing::spec;
using testing::SpecBuilder;

class Plans : public ::testing::Test {
 protected:
  ~Plans() noexcept override {}  // as gtest's own: a result's may throw

  void addNodes(uint32_t count) {
    for (uint32_t i = 1; i <= count; ++i) {
      cluster.addNode(node("w" + std::to_string(i)).cpus(2, 4_GiB));
    }
  }
  void bringUp(const SpecBuilder& what) {
    auto outcome = cluster.request(applyOf(what));
    ASSERT_TRUE(outcome.ok()) << outcome.refusal().text;
    cluster.bringUp();
  }
  Result<DryRun> run(const std::vector<DeploymentSpec>& documents) {
    return dryRun(cluster.state, cluster.observed, documents,
                  {"admin/anna", cluster.now, {1'700'000'000'000}, {}}, random);
  }
  KeptPlan planOf(const DryRun& run, const std::vector<DeploymentSpec>& documents) {
    KeptPlan plan{.documents = documents,
                  .revisionsBefore = {},
                  .inputs = inputs(),
                  .clusterRevision = cluster.state.applied,
                  .placed = run.placed};
    for (const auto& change : run.changes) plan.revisionsBefore.push_back(change.revisionBefore);
    return book.keep(std::move(plan), random);
  }
  Guid inputs() { return placementInputs(cluster.state, cluster.observed, cluster.now); }

  CoreCluster cluster;
  SeededRandom random{7};
  PlanBook book;
};

TEST_F(Plans, leavesTheStateAloneAndFindsThePlaceThatTheLeaderWouldFind) {
  addNodes(2);
  Guid before = cluster.state.hash();
  auto planned = run({spec("chat").devices(2).replicas(2).get()});
  ASSERT_TRUE(planned.ok()) << planned.refusal().text;
  EXPECT_EQ(cluster.state.hash(), before);
  ASSERT_EQ(planned->placed.size(), 2u);
  bringUp(spec("chat").devices(2).replicas(2));
  for (uint32_t i = 0; i < 2; ++i) {
    EXPECT_EQ(planned->placed[i].placement, cluster.replica("chat", i).current->placement);
  }
}

TEST_F(Plans, aChangeIsRehearsedReplicaByReplicaToItsEnd) {
  addNodes(2);
  bringUp(spec("chat").devices(2).replicas(2));
  DeploymentSpec changed = spec("chat").devices(2).replicas(2).argument("x", "1").get();
  auto planned = run({changed});
  ASSERT_TRUE(planned.ok());
  const auto& after = *planned->after.findDeployment(planned->changes[0].uid);
  for (const auto& [number, replica] : after.replicas) {
    ASSERT_TRUE(replica.current) << number.value;
    EXPECT_EQ(replica.current->revision, Revision{2});
  }
  Json plan = planObject(planOf(*planned, {changed}), *planned, cluster.now, ShowCommands::NO);
  EXPECT_EQ(plan["deployments"][0]["action"], "change");
  EXPECT_EQ(plan["deployments"][0]["changes"][0]["path"], "engine.args.x");
  EXPECT_EQ(plan["deployments"][0]["disruption"],
            "recreates 2 replicas, one at a time while the others serve");
  EXPECT_EQ(plan["deployments"][0]["placement"].size(), 2u);
  EXPECT_EQ(plan["summary"]["change"], 1);
}

TEST_F(Plans, whatDoesNotFitNowIsShownWaitingAndWhatNeverFitsIsRefused) {
  addNodes(1);
  bringUp(spec("big").devices(2));
  DeploymentSpec late = spec("late").get();
  auto planned = run({late});
  ASSERT_TRUE(planned.ok());
  Json row = planObject(planOf(*planned, {late}), *planned, cluster.now,
                        ShowCommands::NO)["deployments"][0];
  EXPECT_TRUE(row["placement"].empty());
  EXPECT_EQ(row["waiting"]["reason"], "WaitingForCapacity");
  EXPECT_EQ(row["waiting"]["verdicts"][0]["node"], "w1");
  auto never = run({spec("huge").memoryMin(900_GiB).get()});
  ASSERT_FALSE(never.ok());
  EXPECT_EQ(refusalInfo(never.refusal().code).exitCode, 8);
}

TEST_F(Plans, showWhatEachRankWillBeStartedWithWhenAsked) {
  for (const char* name : {"w1", "w2"}) cluster.addNode(node(name).gpus(2, 4_GiB));
  cluster.applyRaw(SchemaLevelRaised{SCHEMA_LEVEL_PRESETS, {{"co1"}}});
  DeploymentSpec chat = spec("chat").preset(EngineKind::VLLM).cut(2, 2).get();
  auto planned = run({chat});
  ASSERT_TRUE(planned.ok()) << planned.refusal().text;
  KeptPlan plan = planOf(*planned, {chat});
  Json quiet = planObject(plan, *planned, cluster.now, ShowCommands::NO)["deployments"][0];
  EXPECT_FALSE(quiet.contains("commands"));
  Json row = planObject(plan, *planned, cluster.now, ShowCommands::YES)["deployments"][0];
  ASSERT_EQ(row["commands"].size(), 2u) << row.dump();
  Json head = row["commands"][0];
  Json other = row["commands"][1];
  EXPECT_EQ(head["node"], "w1");
  EXPECT_EQ(other["node"], "w2");
  EXPECT_EQ(head["env"]["CUDA_VISIBLE_DEVICES"], "0,1");
  auto has = [](const Json& command, const std::string& word) {
    return std::ranges::count(command["argv"], Json(word)) == 1;
  };
  EXPECT_TRUE(has(head, "/models/chat"));
  EXPECT_TRUE(has(head, "$MUSTER_PORT"));
  EXPECT_FALSE(has(head, "--headless"));
  EXPECT_TRUE(has(other, "$PORT_OF_RANK_0"));
  EXPECT_TRUE(has(other, "--headless"));
}

TEST_F(Plans, showARankOnCpusNoGpu) {
  addNodes(1);
  cluster.applyRaw(SchemaLevelRaised{SCHEMA_LEVEL_PRESETS, {{"co1"}}});
  DeploymentSpec chat = spec("chat").preset(EngineKind::LLAMA_CPP).cut(1, 2).get();
  auto planned = run({chat});
  ASSERT_TRUE(planned.ok()) << planned.refusal().text;
  KeptPlan plan = planOf(*planned, {chat});
  Json row = planObject(plan, *planned, cluster.now, ShowCommands::YES)["deployments"][0];
  EXPECT_EQ(row["commands"][0]["env"]["CUDA_VISIBLE_DEVICES"], "");
}

TEST_F(Plans, sayThatTheCutIsGivenAndThatAnotherRestartsRanks) {
  addNodes(2);
  cluster.applyRaw(SchemaLevelRaised{SCHEMA_LEVEL_STAGES, {{"co1"}}});
  ModelManifest manifest = sharding::test::manifestOf(sharding::test::tinyConfig());
  manifest.source = "file:/models/chat";
  manifest.files.clear();
  for (const auto& tensor : manifest.tensors) manifest.files.push_back({tensor.file, 1_GiB, "0"});
  ASSERT_EQ(cluster.applyRaw(ModelRecorded{manifest}).rejected, std::nullopt);
  bringUp(spec("chat").cut(1, 2).native());
  DeploymentSpec uneven = spec("chat").cut(1, 2).native().get();
  uneven.stages = {{{}, {}, LayerRange{0, 0}}, {}};
  auto planned = run({uneven});
  ASSERT_TRUE(planned.ok()) << planned.refusal().text;
  Json row = planObject(planOf(*planned, {uneven}), *planned, cluster.now,
                        ShowCommands::NO)["deployments"][0];
  EXPECT_EQ(row["plan"]["stage_first_layer"], Json::array({0, 1}));
  ASSERT_EQ(row["changes"].size(), 1u) << row.dump();
  EXPECT_EQ(row["changes"][0]["path"], "stages");
  EXPECT_EQ(row["changes"][0]["after"], "[{layers: 0-0}, {layers: auto}]");
  EXPECT_EQ(row["changes"][0]["restarts_ranks"], true);
  EXPECT_THAT(row["reasons"].dump(),
              HasSubstr("stages hold layers 0-0 and 1-3: the deployment gives the cut"));
  EXPECT_THAT(std::string(row["disruption"]), HasSubstr("recreates 1 replica"));
}

TEST_F(Plans, holdWhileWhatTheyRestOnIsUnchanged) {
  addNodes(2);
  bringUp(spec("other"));
  DeploymentSpec chat = spec("chat").get();
  KeptPlan plan = planOf(*run({chat}), {chat});
  LogIndex index = cluster.state.applied;
  // Time, heartbeats and phases of ranks pass; the log grows.
  cluster.setRanks(ReplicaPhase::WARMING);
  cluster.settle();
  cluster.setRanks(ReplicaPhase::READY);
  cluster.settle();
  ASSERT_GT(cluster.state.applied, index);
  EXPECT_FALSE(staleness(plan, cluster.state, inputs()));

  ASSERT_TRUE(cluster.request(NodeCordoned{{"w2"}, "fan"}).ok());
  auto cordoned = staleness(plan, cluster.state, inputs());
  ASSERT_TRUE(cordoned);
  EXPECT_EQ(cordoned->code, RefusalCode::REVISION_CONFLICT);
  ASSERT_TRUE(cluster.request(NodeUncordoned{{"w2"}}).ok());
  EXPECT_FALSE(staleness(plan, cluster.state, inputs()));
  ASSERT_TRUE(cluster.request(applyOf(spec("chat"))).ok());
  auto taken = staleness(plan, cluster.state, inputs());
  ASSERT_TRUE(taken);
  EXPECT_THAT(taken->text, HasSubstr("deployment chat was absent and is revision 1"));
}

TEST_F(Plans, theBookForgetsTheOldest) {
  std::string first = book.keep({}, random).id;
  EXPECT_EQ(first.size(), 6u);
  for (size_t i = 1; i < PLANS_KEPT; ++i) book.keep({}, random);
  EXPECT_NE(book.find(first), nullptr);
  book.keep({}, random);
  EXPECT_EQ(book.find(first), nullptr);
  EXPECT_EQ(book.size(), PLANS_KEPT);
}

TEST_F(Plans, idsOfDocumentsAreTheSameInARetryAndDifferEverywhereElse) {
  RequestId call{{1, 2}, {3}};
  EXPECT_EQ(documentRequest(call, 0, 1), call);
  EXPECT_EQ(documentRequest(call, 1, 3), documentRequest(call, 1, 3));
  EXPECT_NE(documentRequest(call, 0, 2), documentRequest(call, 1, 2));
  EXPECT_NE(documentRequest(call, 0, 2), documentRequest(call, 0, 3));
  EXPECT_EQ(documentRequest(call, 1, 2).clusterTime, call.clusterTime);
}

}  // namespace
}  // namespace muster::coordinator::dry_run_test

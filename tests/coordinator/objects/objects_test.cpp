// The JSON of each kind of object, on states made by the core itself.
#include "coordinator/core/limits.h"
#include "coordinator/core/time_math.h"
#include "coordinator/objects/cluster.h"
#include "coordinator/objects/deployment.h"
#include "coordinator/objects/event.h"
#include "coordinator/objects/model.h"
#include "coordinator/objects/node.h"
#include "coordinator/objects/replica.h"
#include "coordinator/objects/why.h"
#include "tests/coordinator/core/core_cluster.h"
#include "tests/support/golden.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::coordinator::objects_test {
namespace {

using testing::expectGolden;
using ::testing::HasSubstr;
using testing::node;
using testing::spec;

class Objects : public ::testing::Test {
 protected:
  void addNodes(uint32_t count) {
    for (uint32_t i = 1; i <= count; ++i) {
      cluster.addNode(
          node("w" + std::to_string(i)).cpus(2, 4_GiB).rack("r1").label("pool", "batch"));
    }
  }
  void submit(const CommandBody& body) {
    auto outcome = cluster.request(body);
    ASSERT_TRUE(outcome.ok()) << outcome.refusal().text;
  }
  ObjectView view() const { return {cluster.state, &cluster.observed, cluster.now}; }
  Json deploymentOf(const std::string& name) const {
    return deploymentObject(view(), cluster.deployment(name));
  }
  Json replicaOf(const std::string& name, uint32_t number) const {
    return replicaObject(view(), cluster.deployment(name), {number}, cluster.replica(name, number));
  }
  Json rankOf(const std::string& name, uint32_t rank) const {
    return rankObject(view(), cluster.deployment(name), {0}, *cluster.replica(name, 0).current,
                      {rank});
  }
  RankReport& reportOfRank(const std::string& name, uint32_t rank) {
    RankRef ref = cluster.rankOf(name, 0, rank);
    return cluster.agents.at(cluster.replica(name, 0).current->placement.ranks[rank].node)
        .ranks.at(ref);
  }
  static void golden(const std::string& name, const Json& json) {
    expectGolden("golden/coordinator/objects/" + name + ".json", json.dump(2) + "\n");
  }

  CoreCluster cluster;
};

TEST_F(Objects, readyDeploymentWithReplicaRankNodeAndGpu) {
  addNodes(2);
  submit(applyOf(spec("chat").devices(2)));
  cluster.bringUp();
  RankReport& report = reportOfRank("chat", 1);
  report.loaded = Bytes{6};
  report.slices = {
      {"model.norm.weight", "a.safetensors", 128, 6, {3}, {{0, 3}}, "00112233aabbccdd"}};
  cluster.heartbeat();
  golden("deployment_ready", deploymentOf("chat"));
  golden("replica_ready", replicaOf("chat", 0));
  golden("rank_ready", rankOf("chat", 1));
  golden("node_ready", nodeObject(view(), cluster.state.nodes.at({"w1"})));
  golden("gpu_busy", gpuObject(view(), cluster.state.nodes.at({"w1"}),
                               cluster.state.nodes.at({"w1"}).info.devices[0]));
}

TEST_F(Objects, slicesComeFromReportsAndAreNotMadeUp) {
  addNodes(1);
  submit(applyOf(spec("chat")));
  cluster.bringUp();
  EXPECT_TRUE(rankOf("chat", 0)["slices"].empty());
  ObjectView standby{cluster.state, nullptr, cluster.now};
  Json rank = rankObject(standby, cluster.deployment("chat"), {0},
                         *cluster.replica("chat", 0).current, {0});
  EXPECT_TRUE(rank["slices"].empty());
  EXPECT_TRUE(nodeObject(standby, cluster.state.nodes.at({"w1"}))["status"]["attached"].is_null());
}

TEST_F(Objects, joiningCountsRanksAndNamesTheMissing) {
  addNodes(2);
  submit(applyOf(spec("chat").devices(4)));
  cluster.settle();
  cluster.setRanks(ReplicaPhase::JOINING);
  cluster.settle();
  for (uint32_t rank : {0u, 1u, 2u}) reportOfRank("chat", 0).joined.push_back({rank});
  cluster.now = cluster.now + 95_s;
  cluster.heartbeat();
  Json replica = replicaOf("chat", 0);
  EXPECT_EQ(replica["phase"], "Joining");
  EXPECT_EQ(replica["message"], "3 of 4 joined; waiting 95s for rank 3 (w2:1)");
  EXPECT_EQ(replica["progress"], 0.75);
  EXPECT_THAT(std::string(replica["next"]), HasSubstr("gives up in 28m"));
  EXPECT_EQ(replica["fix"], Json::array({"muster logs chat/0/3"}));
}

TEST_F(Objects, loadingShowsItsShareOfTheBytes) {
  addNodes(1);
  submit(applyOf(spec("chat").devices(2)));
  cluster.settle();
  auto& generation = *cluster.state.deployments.begin()->second.replicas.at({0}).current;
  generation.plan.rankWeights = {Bytes{100}, Bytes{300}};
  reportOfRank("chat", 1).loaded = Bytes{264};
  cluster.heartbeat();
  EXPECT_EQ(replicaOf("chat", 0)["progress"], 0.66);
  EXPECT_EQ(deploymentOf("chat")["status"]["progress"], 0.66);
}

TEST_F(Objects, whatWaitsSaysWhyAndWhatHelps) {
  addNodes(1);
  submit(applyOf(spec("big").devices(2)));
  cluster.bringUp();
  submit(applyOf(spec("late")));
  cluster.settle();
  golden("replica_waiting", replicaOf("late", 0));
  golden("why_waiting", whyObject(view(), cluster.deployment("late")));
  Json status = deploymentOf("late")["status"];
  for (const char* field : {"reason", "message", "since", "next"}) {
    EXPECT_FALSE(std::string(status[field]).empty()) << field;
  }
  EXPECT_FALSE(status["fix"].empty());
}

TEST_F(Objects, whatWaitsCountsTheDevicesThatItsStagesWant) {
  cluster.addNode(node("w1").gpus(1, 4_GiB).devices("A100", 1, 4_GiB));
  cluster.applyRaw(SchemaLevelRaised{SCHEMA_LEVEL_STAGES, {{"co1"}}});
  submit(applyOf(spec("big").cut(1, 2)));
  cluster.bringUp();
  DeploymentApplied late = applyOf(spec("late"));
  late.spec.gpus.reset();
  late.spec.parallel = {};
  late.spec.stages = {{{{"H100"}, {}, ""}, 1, {}}, {{{"A100"}, {}, ""}, {}, {}}};
  submit(late);
  cluster.settle();
  EXPECT_EQ(deploymentOf("late")["status"]["reason"], "WaitingForCapacity");
  EXPECT_EQ(deploymentOf("late")["status"]["gpus"]["count"], 2);
  EXPECT_EQ(deploymentOf("late")["status"]["gpus"]["types"], Json::array({"A100", "H100"}));
}

TEST_F(Objects, aFailedAttemptShowsItsErrorAndWhenItIsTriedAgain) {
  addNodes(1);
  submit(applyOf(spec("chat")));
  cluster.bringUp();
  cluster.failRank(cluster.rankOf("chat", 0, 0), Reason::RANK_CRASHED, "signal 11");
  cluster.settle();
  Json replica = replicaOf("chat", 0);
  EXPECT_EQ(replica["phase"], "Failed");
  EXPECT_EQ(replica["reason"], "RankCrashed");
  EXPECT_EQ(replica["next"], "tried again in 1s");
  Json why = whyObject(view(), cluster.deployment("chat"));
  EXPECT_EQ(why["code"], "E0602");
  ObjectView soon = {cluster.state, &cluster.observed, later(cluster.now, 200_ms)};
  EXPECT_EQ(whyObject(soon, cluster.deployment("chat"))["next"], "tried again now");
  EXPECT_EQ(why["fix"][0], "muster logs chat/0 --first-error");
}

TEST_F(Objects, drainingNodeNamesWhatBlocksIt) {
  addNodes(1);
  submit(applyOf(spec("chat")));
  cluster.bringUp();
  submit(NodeDrainStarted{{"w1"}, "replace fan", false});
  Json status = nodeObject(view(), cluster.state.nodes.at({"w1"}))["status"];
  EXPECT_EQ(status["phase"], "Draining");
  EXPECT_EQ(status["reason"], "NodeDraining");
  ASSERT_EQ(status["drain"]["blocked"].size(), 1u);
  EXPECT_EQ(status["drain"]["blocked"][0]["deployment"], "chat");
  EXPECT_EQ(status["drain"]["blocked"][0]["replica"], 0);
  EXPECT_EQ(status["drain"]["blocked"][0]["reason"], "WaitingForCapacity");
  EXPECT_FALSE(std::string(status["drain"]["blocked"][0]["message"]).empty());
  EXPECT_EQ(status["cordon"]["by"], "admin/anna");
  GpuCount gpus = countGpus(cluster.state);
  EXPECT_EQ(gpus.total, 2u);
  EXPECT_EQ(gpus.busy, 1u);
  EXPECT_EQ(gpus.free, 0u) << "a cordoned node has nothing to give";
}

TEST_F(Objects, eventsAreFoundByWhatTheyAreAbout) {
  Event event{{7},      0,        {},        {1'700'000'000'000}, Severity::WARNING,
              "Failed", "chat/1", "default", "after 3s",          "coordinator/co1"};
  golden("event", eventObject(event));
  for (const char* target : {"", "chat", "chat/1", "default/chat", "chat/1/0"}) {
    EXPECT_TRUE(isAbout(event, target)) << target;
  }
  for (const char* target : {"cha", "chat/0", "search/chat", "w1", "!"}) {
    EXPECT_FALSE(isAbout(event, target)) << target;
  }
  event.object = "node w1";
  event.tenant = "";
  EXPECT_TRUE(isAbout(event, "w1"));
  EXPECT_FALSE(isAbout(event, "w2"));
}

TEST_F(Objects, clusterStatusAndModel) {
  addNodes(2);
  ClusterFacts facts{{"prod"},        {1, {0xab, 0xcd}},  {4}, {"co1"},
                     "10.0.0.1:7401", {{"co1"}, {"co2"}}, 1};
  golden("cluster", clusterObject(view(), facts));
  CoordinatorView here{{"co1"}, "serving", {12}, Guid{1, 2}, 3, 1, "10.0.0.1:7401", true, 2};
  CoordinatorView away{{"co2"}, "", {}, {}, 0, 2, "10.0.0.2:7401", false};
  golden("status", statusObject(facts, {here, away}, {1'700'000'000'000}));
  ModelManifest manifest{"file:/models/m",
                         "d1",
                         "{\"architectures\":[\"Other\"]}",
                         {{"a.safetensors", Bytes{4096}, "h"}},
                         {{"w", Dtype::BF16, {4, 8}, "a.safetensors", 128, 64}},
                         {"w1"}};
  golden("model", modelObject(manifest));
}

TEST_F(Objects, foreignBytesCannotBreakTheJson) {
  Event event;
  event.message = "bad \xff byte";
  EXPECT_NO_THROW(toText(eventObject(event)));
}

}  // namespace
}  // namespace muster::coordinator::objects_test

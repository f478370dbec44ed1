// What workers say of their GPUs' health, and what the core makes of it.
#include "coordinator/core/limits.h"
#include "tests/coordinator/core/core_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::coordinator::gpu_health_test {
namespace {

using ::testing::ElementsAre;
using testing::node;
using testing::spec;

class GpuHealth : public ::testing::Test {
 protected:
  void addNode() { cluster.addNode(node("w1").cpus(1, 4_GiB)); }
  void submit(const CommandBody& body) { ASSERT_TRUE(cluster.request(body).ok()); }

  CoreCluster cluster;
};

TEST_F(GpuHealth, movesReplicasOffADeviceThatIsUnhealthyAndBackWhenItIsWell) {
  addNode();
  cluster.applyRaw(SchemaLevelRaised{SCHEMA_LEVEL_GPUS, {{"co1"}}});
  submit(applyOf(spec("chat")));
  cluster.bringUp();
  ASSERT_EQ(cluster.places("chat", 0), "w1:0");
  cluster.observed.nodes.at({"w1"}).hello->devices[0].unhealthy = "XID 79";
  cluster.settle();
  EXPECT_EQ(cluster.places("chat", 0), "-");
  EXPECT_EQ(cluster.state.findNode({"w1"})->phase(), NodePhase::READY);
  EXPECT_THAT(cluster.eventsOf("GpuUnhealthy"), ElementsAre("node w1: w1:0: XID 79"));
  EXPECT_EQ(cluster.eventsOf("NodeReturned").size(), 0u);
  EXPECT_EQ(cluster.replica("chat", 0).reason, Reason::GPU_UNHEALTHY);
  cluster.pass(1_s);
  const ReplicaState& waiting = cluster.replica("chat", 0);
  ASSERT_EQ(waiting.verdicts.size(), 1u);
  EXPECT_EQ(waiting.verdicts[0].verdict, "health");
  EXPECT_EQ(waiting.verdicts[0].detail, "XID 79");

  cluster.observed.nodes.at({"w1"}).hello->devices[0].unhealthy = "";
  cluster.settle();
  cluster.pass(1_s);
  EXPECT_EQ(cluster.places("chat", 0), "w1:0");
}

TEST_F(GpuHealth, writesNothingOfGpusThatOlderCoordinatorsDoNotUnderstand) {
  addNode();
  NodeInfo& told = *cluster.observed.nodes.at({"w1"}).hello;
  told.devices[0].unhealthy = "XID 79";
  told.devices[0].product = "NVIDIA H100";
  told.driver = "550.54.15";
  EXPECT_FALSE(cluster.step());
  EXPECT_EQ(cluster.state.findNode({"w1"})->info.devices[0].unhealthy, "");
  cluster.applyRaw(SchemaLevelRaised{SCHEMA_LEVEL_GPUS, {{"co1"}}});
  cluster.settle();
  EXPECT_EQ(cluster.state.findNode({"w1"})->info, told);
}

}  // namespace
}  // namespace muster::coordinator::gpu_health_test

// What of a GPU's memory plans may promise.
#include "coordinator/core/cluster_view.h"
#include "sharding/constraints.h"
#include "tests/coordinator/core/core_cluster.h"

#include <gtest/gtest.h>

namespace muster::coordinator::gpu_memory_test {
namespace {

using testing::node;
using testing::spec;

class GpuMemory : public ::testing::Test {
 protected:
  // w1 has one H100 as its driver tells it.
  GpuMemory() {
    testing::NodeInfoBuilder described = node("w1").cpus(1, 79_GiB);
    NodeInfo info = described.get();
    info.devices[0].type = "H100";
    info.devices[0].busId = "0000:1b:00.0";
    cluster.addNode(node("w2").cpus(1, 79_GiB));
    cluster.applyRaw(NodeRegistered{info, {7, 7}});
  }
  sharding::DeviceView device(const char* name) {
    return nodeView(cluster.state, {name}).devices.front();
  }

  CoreCluster cluster;
};

TEST_F(GpuMemory, aProcessesOwnShareOfAGpuIsNotPromised) {
  EXPECT_EQ(device("w1").memory, 78_GiB);
  EXPECT_EQ(device("w1").overhead, 1_GiB);
  EXPECT_EQ(device("w2").memory, 79_GiB) << "a declared CPU device is given as a whole";
}

TEST_F(GpuMemory, whatAGpuMustHaveIsAskedOfAllOfIt) {
  sharding::GangWish wish;
  wish.gpu.types = {"H100"};
  auto seats = [&](Bytes least, Bytes memory) {
    wish.gpu.memoryMin = least;
    return seatsOf(nodeView(cluster.state, {"w1"}), wish, memory, sharding::Occupancy::NOW).size();
  };
  EXPECT_EQ(seats(79_GiB, 78_GiB), 1u);
  EXPECT_EQ(seats(80_GiB, 78_GiB), 0u);
  EXPECT_EQ(seats(0_GiB, 78_GiB + 1_MiB), 0u);
}

}  // namespace
}  // namespace muster::coordinator::gpu_memory_test

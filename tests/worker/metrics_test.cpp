#include "worker/metrics.h"

#include "base/version.h"
#include "tests/worker/orders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::worker::metrics_test {
namespace {

using testing::HasSubstr;

TEST(WorkerMetrics, sayHowTheNodeIs) {
  AgentStatus status;
  status.links = {{"10.0.0.1:7401", "co1", LinkState::ATTACHED, true, ""},
                  {"10.0.0.2:7401", "", LinkState::WAITING, false, "gone"}};
  status.lease = LeaseState::HELD;
  status.leaseRemaining = 4500_ms;
  status.token = tokenOf(17);
  status.order = stampOf(17, 40);
  status.ranks = {reportOf(0, ReplicaPhase::READY), reportOf(1, ReplicaPhase::READY)};
  NodeInfo node;
  node.name = {"gpu01"};
  node.version = "1.2.3";
  node.devices = {{{0}, "cpu", "gpu01-cpu-0", 4_GiB, 0}};
  std::string text = metricsText(status, node);
  EXPECT_THAT(text, HasSubstr(std::string("muster_build_info{version=\"1.2.3\",commit=\"") +
                              COMMIT + "\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("muster_worker_attached{address=\"10.0.0.1:7401\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("muster_worker_attached{address=\"10.0.0.2:7401\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("muster_worker_lease_held 1\n"));
  EXPECT_THAT(text, HasSubstr("muster_worker_lease_remaining_seconds 4.5\n"));
  EXPECT_THAT(text, HasSubstr("muster_worker_epoch 17\n"));
  EXPECT_THAT(text, HasSubstr("muster_worker_order_index 40\n"));
  EXPECT_THAT(text, HasSubstr("muster_worker_ranks{phase=\"Ready\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("muster_worker_ranks{phase=\"Failed\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("muster_gpu_memory_total_bytes{node=\"gpu01\",gpu=\"0\","
                              "uuid=\"gpu01-cpu-0\"} 4294967296\n"));
}

TEST(WorkerMetrics, sayThatItIsIsolated) {
  AgentStatus status;
  status.lease = LeaseState::EXPIRED;
  EXPECT_THAT(metricsText(status, {}), HasSubstr("muster_worker_lease_held 0\n"));
}

}  // namespace
}  // namespace muster::worker::metrics_test

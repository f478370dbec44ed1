// What Prometheus reads of a gateway: its own facts, and those of each replica under its labels.
#include "gateway/metrics.h"

#include "base/version.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace muster::gateway::metrics_test {
namespace {

using testing::HasSubstr;

ReplicaRow busyReplica() {
  ReplicaRow row{.tenant = "lab", .deployment = "chat", .replica = "1"};
  row.outstanding = 3;
  row.ejected = true;
  row.metrics.answers = {{200, 7}, {503, 1}};
  row.metrics.failures = 2;
  row.metrics.timeToFirstToken.add(30_ms);
  row.metrics.interTokenLatency.add(4_ms, 10);
  row.metrics.requestDuration.add(400_s);  // above every bound
  return row;
}

TEST(GatewayMetrics, tellOfEachReplica) {
  const ReplicaRow rows[] = {busyReplica()};
  std::string text = metricsText({}, rows);
  std::string labels = R"({tenant="lab",deployment="chat",replica="1")";
  EXPECT_THAT(text, HasSubstr("muster_requests_total" + labels + R"(,code="200"} 7)"));
  EXPECT_THAT(text, HasSubstr("muster_requests_total" + labels + R"(,code="503"} 1)"));
  EXPECT_THAT(text, HasSubstr("muster_requests_running" + labels + "} 3\n"));
  EXPECT_THAT(text, HasSubstr("muster_gateway_backend_failures_total" + labels + "} 2\n"));
  EXPECT_THAT(text, HasSubstr("muster_gateway_backend_ejected" + labels + "} 1\n"));
  EXPECT_THAT(text, HasSubstr("muster_time_to_first_token_seconds_count" + labels + "} 1\n"));
  EXPECT_THAT(text, HasSubstr("muster_inter_token_latency_seconds_count" + labels + "} 10\n"));
  EXPECT_THAT(text, HasSubstr("muster_request_duration_seconds_count" + labels + "} 1\n"));
}

TEST(GatewayMetrics, bucketsCountEverythingUpToTheirBound) {
  const ReplicaRow rows[] = {busyReplica()};
  std::string text = metricsText({}, rows);
  std::string labels = R"({tenant="lab",deployment="chat",replica="1",le=")";
  std::string first = "muster_time_to_first_token_seconds_bucket" + labels;
  EXPECT_THAT(text, HasSubstr(first + "0.02\"} 0\n"));
  EXPECT_THAT(text, HasSubstr(first + "0.05\"} 1\n"));
  EXPECT_THAT(text, HasSubstr(first + "+Inf\"} 1\n"));
  std::string whole = "muster_request_duration_seconds_bucket" + labels;
  EXPECT_THAT(text, HasSubstr(whole + "300\"} 0\n"));
  EXPECT_THAT(text, HasSubstr(whole + "+Inf\"} 1\n"));
}

TEST(GatewayMetrics, tellOfTheGatewayItself) {
  GatewayFacts facts{.connections = 12, .retries = 5, .own = {{404, 9}}, .watching = true};
  facts.viewIndex = 41;
  facts.viewAgeSeconds = 1.5;
  std::string text = metricsText(facts, {});
  EXPECT_THAT(text, HasSubstr(std::string("muster_build_info{version=\"") + VERSION +
                              "\",commit=\"" + COMMIT + "\"} 1\n"));
  EXPECT_THAT(
      text, HasSubstr(R"(muster_requests_total{tenant="",deployment="",replica="",code="404"} 9)"));
  EXPECT_THAT(text, HasSubstr("muster_gateway_connections 12\n"));
  EXPECT_THAT(text, HasSubstr("muster_gateway_retries_total 5\n"));
  EXPECT_THAT(text, HasSubstr("muster_gateway_watching 1\n"));
  EXPECT_THAT(text, HasSubstr("muster_gateway_view_index 41\n"));
  EXPECT_THAT(text, HasSubstr("muster_gateway_view_age_seconds 1.5\n"));
}

TEST(GatewayMetrics, ofSeveralThreadsAreAddedUp) {
  ReplicaMetrics all = busyReplica().metrics;
  all.add(busyReplica().metrics);
  EXPECT_EQ(all.answers, (std::map<int, uint64_t>{{200, 14}, {503, 2}}));
  EXPECT_EQ(all.failures, 4u);
  EXPECT_EQ(all.interTokenLatency.count, 20u);
  EXPECT_EQ(all.interTokenLatency.sum, 80_ms);
}

}  // namespace
}  // namespace muster::gateway::metrics_test

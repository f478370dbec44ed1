#include "protocol/phases.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace muster::phases_test {
namespace {

using Texts = std::vector<std::string_view>;

Texts all(std::span<const std::string_view> texts) { return {texts.begin(), texts.end()}; }

TEST(Phases, areTheStableTextsInOrder) {
  EXPECT_EQ(all(nodePhaseTexts()),
            (Texts{"Ready", "Unreachable", "Lost", "Cordoned", "Draining", "Drained"}));
  EXPECT_EQ(all(deploymentPhaseTexts()), (Texts{"Pending", "Starting", "Ready", "Updating",
                                                "Degraded", "Draining", "Stopped", "Failed"}));
  EXPECT_EQ(all(replicaPhaseTexts()), (Texts{"Pending", "Fetching", "Loading", "Joining", "Warming",
                                             "Ready", "Draining", "Stopped", "Failed", "Lost"}));
  EXPECT_EQ(all(reasonTexts()), (Texts{"",
                                       "WaitingForCapacity",
                                       "WaitingForQuota",
                                       "WaitingForPreemption",
                                       "NoMatchingGpu",
                                       "TopologyUnsatisfied",
                                       "ModelDoesNotFit",
                                       "FetchFailed",
                                       "WeightsCorrupt",
                                       "JoinTimeout",
                                       "RankCrashed",
                                       "RankStalled",
                                       "OutOfGpuMemory",
                                       "EngineExited",
                                       "HealthCheckFailed",
                                       "GpuUnhealthy",
                                       "NodeLost",
                                       "NodeDraining",
                                       "RolloutPaused",
                                       "RolloutFailed",
                                       "SloMissed"}));
}

TEST(Phases, standAtTheirEnumerators) {
  EXPECT_EQ(toText(NodePhase::UNREACHABLE), "Unreachable");
  EXPECT_EQ(toText(NodePhase::DRAINED), "Drained");
  EXPECT_EQ(toText(DeploymentPhase::UPDATING), "Updating");
  EXPECT_EQ(toText(DeploymentPhase::FAILED), "Failed");
  EXPECT_EQ(toText(ReplicaPhase::READY), "Ready");
  EXPECT_EQ(toText(ReplicaPhase::LOST), "Lost");
  EXPECT_EQ(toText(Reason::NONE), "");
  EXPECT_EQ(toText(Reason::OUT_OF_GPU_MEMORY), "OutOfGpuMemory");
  EXPECT_EQ(toText(Reason::SLO_MISSED), "SloMissed");
}

template <class Enum, class Parse>
void expectRoundTrip(std::span<const std::string_view> texts, Parse parse) {
  std::set<std::string_view> seen;
  for (size_t i = 0; i < texts.size(); ++i) {
    SCOPED_TRACE(std::string(texts[i]));
    auto value = static_cast<Enum>(i);
    EXPECT_EQ(toText(value), texts[i]);
    EXPECT_EQ(parse(texts[i]), value);
    EXPECT_TRUE(seen.insert(texts[i]).second) << "two enumerators have one text";
  }
  EXPECT_EQ(parse("ready"), std::nullopt) << "case matters";
  EXPECT_EQ(parse("Nonsense"), std::nullopt);
  EXPECT_EQ(toText(static_cast<Enum>(texts.size())), "Unknown");
}

TEST(Phases, everyTextReadsBackAsItsValue) {
  expectRoundTrip<NodePhase>(nodePhaseTexts(), parseNodePhase);
  expectRoundTrip<DeploymentPhase>(deploymentPhaseTexts(), parseDeploymentPhase);
  expectRoundTrip<ReplicaPhase>(replicaPhaseTexts(), parseReplicaPhase);
  expectRoundTrip<Reason>(reasonTexts(), parseReason);
}

}  // namespace
}  // namespace muster::phases_test

#include "protocol/phases.h"

#include <array>
#include <cstddef>

namespace muster {
namespace {

// Each row stands at the value of its enumerator; the asserts below keep the lengths equal.
constexpr std::array<std::string_view, 6> NODE_PHASES{"Ready",    "Unreachable", "Lost",
                                                      "Cordoned", "Draining",    "Drained"};
constexpr std::array<std::string_view, 8> DEPLOYMENT_PHASES{
    "Pending", "Starting", "Ready", "Updating", "Degraded", "Draining", "Stopped", "Failed"};
constexpr std::array<std::string_view, 10> REPLICA_PHASES{
    "Pending", "Fetching", "Loading", "Joining", "Warming",
    "Ready",   "Draining", "Stopped", "Failed",  "Lost"};
constexpr std::array<std::string_view, 21> REASONS{"",
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
                                                   "SloMissed"};
static_assert(NODE_PHASES.size() == static_cast<size_t>(NodePhase::DRAINED) + 1);
static_assert(DEPLOYMENT_PHASES.size() == static_cast<size_t>(DeploymentPhase::FAILED) + 1);
static_assert(REPLICA_PHASES.size() == static_cast<size_t>(ReplicaPhase::LOST) + 1);
static_assert(REASONS.size() == static_cast<size_t>(Reason::SLO_MISSED) + 1);

template <class Enum>
std::string_view textOf(std::span<const std::string_view> texts, Enum value) {
  auto index = static_cast<size_t>(value);
  return index < texts.size() ? texts[index] : std::string_view("Unknown");
}

template <class Enum>
std::optional<Enum> valueOf(std::span<const std::string_view> texts, std::string_view text) {
  for (size_t i = 0; i < texts.size(); ++i) {
    if (texts[i] == text) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

}  // namespace

std::string_view toText(NodePhase phase) { return textOf(NODE_PHASES, phase); }
std::string_view toText(DeploymentPhase phase) { return textOf(DEPLOYMENT_PHASES, phase); }
std::string_view toText(ReplicaPhase phase) { return textOf(REPLICA_PHASES, phase); }
std::string_view toText(Reason reason) { return textOf(REASONS, reason); }

std::optional<NodePhase> parseNodePhase(std::string_view text) {
  return valueOf<NodePhase>(NODE_PHASES, text);
}
std::optional<DeploymentPhase> parseDeploymentPhase(std::string_view text) {
  return valueOf<DeploymentPhase>(DEPLOYMENT_PHASES, text);
}
std::optional<ReplicaPhase> parseReplicaPhase(std::string_view text) {
  return valueOf<ReplicaPhase>(REPLICA_PHASES, text);
}
std::optional<Reason> parseReason(std::string_view text) { return valueOf<Reason>(REASONS, text); }

std::span<const std::string_view> nodePhaseTexts() { return NODE_PHASES; }
std::span<const std::string_view> deploymentPhaseTexts() { return DEPLOYMENT_PHASES; }
std::span<const std::string_view> replicaPhaseTexts() { return REPLICA_PHASES; }
std::span<const std::string_view> reasonTexts() { return REASONS; }

}  // namespace muster

// What nodes, deployments, replicas and ranks can be in, and why: one vocabulary for every surface.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace muster {

enum class NodePhase : uint8_t { READY, UNREACHABLE, LOST, CORDONED, DRAINING, DRAINED };

enum class DeploymentPhase : uint8_t {
  PENDING,
  STARTING,
  READY,
  UPDATING,
  DEGRADED,
  DRAINING,
  STOPPED,
  FAILED
};

// Of a replica; a rank passes through the same ones.
enum class ReplicaPhase : uint8_t {
  PENDING,
  FETCHING,
  LOADING,
  JOINING,
  WARMING,
  READY,
  DRAINING,
  STOPPED,
  FAILED,
  LOST
};

// Why something is not what its owner asked for. The texts are stable: scripts and alerts match
// them.
enum class Reason : uint8_t {
  NONE,
  WAITING_FOR_CAPACITY,
  WAITING_FOR_QUOTA,
  WAITING_FOR_PREEMPTION,
  NO_MATCHING_GPU,
  TOPOLOGY_UNSATISFIED,
  MODEL_DOES_NOT_FIT,
  FETCH_FAILED,
  WEIGHTS_CORRUPT,
  JOIN_TIMEOUT,
  RANK_CRASHED,
  RANK_STALLED,
  OUT_OF_GPU_MEMORY,
  ENGINE_EXITED,
  HEALTH_CHECK_FAILED,
  GPU_UNHEALTHY,
  NODE_LOST,
  NODE_DRAINING,
  ROLLOUT_PAUSED,
  ROLLOUT_FAILED,
  SLO_MISSED
};

// "Ready", "WaitingForCapacity"; Reason::NONE is the empty text. A value that no enumerator has
// (read from a newer peer) is "Unknown".
std::string_view toText(NodePhase phase);
std::string_view toText(DeploymentPhase phase);
std::string_view toText(ReplicaPhase phase);
std::string_view toText(Reason reason);

// The inverse of toText, exact in case; nothing for any other text.
std::optional<NodePhase> parseNodePhase(std::string_view text);
std::optional<DeploymentPhase> parseDeploymentPhase(std::string_view text);
std::optional<ReplicaPhase> parseReplicaPhase(std::string_view text);
std::optional<Reason> parseReason(std::string_view text);

// The texts in the order of the enumerators; the index of a text is its enumerator's value.
std::span<const std::string_view> nodePhaseTexts();
std::span<const std::string_view> deploymentPhaseTexts();
std::span<const std::string_view> replicaPhaseTexts();
std::span<const std::string_view> reasonTexts();

}  // namespace muster

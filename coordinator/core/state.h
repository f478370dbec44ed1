// What every coordinator knows at one log index: a plain value of ordered maps that only apply
// changes.
//
// Each part is a record (record.h), so that the store keeps exactly this. The maps under "derived"
// are made from the records and are no records themselves.
#pragma once

#include "base/ids.h"
#include "base/result.h"
#include "base/units.h"
#include "protocol/command.h"
#include "protocol/schema_level.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace muster::coordinator {

struct Cordon {
  std::string by;  // principal
  std::string reason;
  Instant since;
  WallTime sinceWall;
  bool operator==(const Cordon&) const = default;
};

enum class DrainStage : uint8_t { NONE, DRAINING, DRAINED };

struct NodeState {
  NodeInfo info;
  Incarnation agent;                          // of the newest hello that was logged
  NodePhase reachability = NodePhase::READY;  // READY, UNREACHABLE or LOST
  std::string why;                            // of the reachability
  Duration suspectRemaining;                  // of the lease when it became UNREACHABLE
  Instant since;                              // of the reachability
  WallTime sinceWall;
  std::optional<Cordon> cordon;  // nothing new is placed here; always set while drained or draining
  DrainStage drain = DrainStage::NONE;
  bool drainForced = false;
  LogIndex describedAt;  // when `info` last changed
  LogIndex orderIndex;   // when what shall run here last changed; stamps its orders
  bool operator==(const NodeState&) const = default;

  NodePhase phase() const;  // what users see: the worst of reachability, drain and cordon
  bool takesWork() const { return reachability == NodePhase::READY && !cordon; }
};

struct RankState {
  ReplicaPhase phase = ReplicaPhase::PENDING;
  Reason reason = Reason::NONE;
  std::string message;
  uint32_t pid = 0;
  uint64_t processStartTime = 0;
  Bytes loaded;
  std::string rendezvous;
  std::string firstError;
  Instant since;  // of the phase
  WallTime sinceWall;
  bool operator==(const RankState&) const = default;
};

// The current generation of a replica: a whole gang.
struct PlacedGeneration {
  Generation generation;
  Revision revision;    // of the spec it was placed for
  DeploymentSpec spec;  // as it was then; what its ranks are started with
  ShardPlan plan;
  Placement placement;
  GroupSecret secret{};
  std::string manifestDigest;  // of the model it was planned from; empty: none
  LogIndex placedIndex;
  Instant placedAt;
  WallTime placedWall;
  Instant readyAt;               // when all ranks were Ready; 0: not yet
  std::vector<RankState> ranks;  // shape [world size]
  bool operator==(const PlacedGeneration&) const = default;
};

struct ReplicaState {
  std::optional<PlacedGeneration> current;
  ReplicaPhase phase = ReplicaPhase::PENDING;
  Reason reason = Reason::NONE;
  std::string message;
  Instant since;  // of the phase
  WallTime sinceWall;
  // Why it waits, as the planner last said; `answeredIndex` is 0 when it has not been asked since
  // it lost its place.
  std::vector<NodeVerdict> verdicts;
  std::vector<std::string> fixes;
  LogIndex answeredIndex;
  // Attempts that failed by themselves (not for a lost or drained node) since it was last well for
  // a minute.
  uint32_t failedAttempts = 0;
  Instant retryAt;  // not placed again before
  std::string
      firstError;  // of the newest failed attempt, with the rank's name; kept until the next Ready
  bool operator==(const ReplicaState&) const = default;
};

struct DeploymentState {
  DeploymentUid uid;
  DeploymentSpec spec;
  Revision revision;  // counts every accepted change
  // Of the newest change that is not made in place; older generations are replaced.
  Revision templateRevision;
  Instant created;
  WallTime createdWall;
  std::string createdBy;
  DeploymentPhase phase = DeploymentPhase::PENDING;
  Reason reason = Reason::NONE;
  std::string message;
  Instant since;  // of the phase
  WallTime sinceWall;
  bool deleting = false;
  Generation nextGeneration{1};  // one counter for all replicas; only grows
  std::map<ReplicaNumber, ReplicaState> replicas;
  bool operator==(const DeploymentState&) const = default;
};

struct GenerationRef {
  DeploymentUid deployment;
  ReplicaNumber replica;
  Generation generation;
  auto operator<=>(const GenerationRef&) const = default;
};

// A generation that ended and whose ranks may still run somewhere: their devices stay taken.
struct RetiredGeneration {
  TenantName tenant;
  DeploymentName name;
  Reason reason = Reason::NONE;
  std::string message;
  LogIndex placedIndex;
  LogIndex retiredIndex;
  Instant since;
  WallTime sinceWall;
  std::map<RankNumber, RankPlacement> ranks;  // not released yet; never empty
  bool operator==(const RetiredGeneration&) const = default;
};

// What became of a request. Kept for OUTCOME_KEPT of cluster time after the request's own time.
struct Outcome {
  LogIndex index;
  std::optional<Refusal> rejected;
  std::string answer;  // JSON, for instance {"deployment":"default/chat","uid":3,"revision":2};
                       // empty when rejected
  bool operator==(const Outcome&) const = default;
};

struct OutcomeKey {  // by time first, so that the oldest is found first
  Instant clusterTime;
  Guid guid;
  auto operator<=>(const OutcomeKey&) const = default;
};
inline OutcomeKey outcomeKey(const RequestId& id) { return {id.clusterTime, id.guid}; }

inline constexpr Duration OUTCOME_KEPT = 10_min;

// Memory of one device promised to one rank of a current or retired generation.
struct Reservation {
  Bytes memory;
  LogIndex placedIndex;
  bool operator==(const Reservation&) const = default;
};
using DeviceReservations = std::map<RankRef, Reservation>;

struct State {
  HistoryId history;
  LogIndex applied;     // of the newest command
  Instant clusterTime;  // of the newest command
  Epoch epoch;          // of the newest leader
  CoordinatorId leader;
  Incarnation leaderIncarnation;
  uint32_t schemaLevel = SCHEMA_LEVEL_FIRST;
  DeploymentUid nextUid{1};
  LogIndex capacityIndex;  // when devices last became free, or a node began to take work

  std::map<NodeName, NodeState> nodes;
  std::map<std::string, ModelManifest> models;  // by source
  std::map<DeploymentUid, DeploymentState> deployments;
  std::map<GenerationRef, RetiredGeneration> retired;
  std::map<OutcomeKey, Outcome> outcomes;

  // Derived.
  std::map<std::pair<TenantName, DeploymentName>, DeploymentUid> deploymentByName;
  std::map<NodeName, std::map<DeviceIndex, DeviceReservations>>
      reservations;                          // no empty maps inside
  std::map<std::string, Guid> recordHashes;  // by record key
  Guid hashSum;                              // sum mod 2^128 of recordHashes

  bool operator==(const State&) const = default;

  // Hash of the whole state: equal states, and no others, have equal hashes. Cost O(1).
  Guid hash() const { return hashSum; }

  const DeploymentState* findDeployment(const TenantName& tenant, const DeploymentName& name) const;
  const DeploymentState* findDeployment(DeploymentUid uid) const;
  const ReplicaState* findReplica(DeploymentUid uid, ReplicaNumber replica) const;
  // The current generation that `ref` names; nothing when another one is current.
  const PlacedGeneration* findCurrent(const GenerationRef& ref) const;
  const NodeState* findNode(const NodeName& name) const;
  const Outcome* findOutcome(const RequestId& id) const;
};

// The state before the first command of a history.
State emptyState(HistoryId history);

inline GenerationRef generationOf(const RankRef& ref) {
  return {ref.deployment, ref.replica, ref.generation};
}

}  // namespace muster::coordinator

// The commands of the replicated log as values; protocol/log.capnp is their durable form.
#pragma once

#include "base/ids.h"
#include "base/units.h"
#include "protocol/deployment.h"
#include "protocol/model.h"
#include "protocol/node.h"
#include "protocol/phases.h"
#include "protocol/plan.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace muster {

// Drawn by the client and kept through all its retries, so that a request takes effect at most
// once.
struct RequestId {
  Guid guid;
  Instant clusterTime;  // as a coordinator told the client; bounds how long outcomes are kept
  auto operator<=>(const RequestId&) const = default;
};

// One rank of one generation of one replica.
struct RankRef {
  DeploymentUid deployment;
  ReplicaNumber replica;
  Generation generation;
  RankNumber rank;
  auto operator<=>(const RankRef&) const = default;
};

struct LeaderStarted {
  CoordinatorId leader;
  Epoch epoch;
  std::string reason;
  Incarnation incarnation;
  bool operator==(const LeaderStarted&) const = default;
};

struct NodeRegistered {
  NodeInfo node;
  Incarnation agent;
  bool operator==(const NodeRegistered&) const = default;
};

// READY, UNREACHABLE or LOST; cordon and drain have commands of their own.
struct NodePhaseChanged {
  NodeName node;
  NodePhase phase = NodePhase::READY;
  std::string why;
  Duration suspectRemaining;
  bool operator==(const NodePhaseChanged&) const = default;
};

struct NodeCordoned {
  NodeName node;
  std::string reason;
  bool operator==(const NodeCordoned&) const = default;
};

struct NodeUncordoned {
  NodeName node;
  bool operator==(const NodeUncordoned&) const = default;
};

struct NodeDrainStarted {
  NodeName node;
  std::string reason;
  bool force = false;
  bool operator==(const NodeDrainStarted&) const = default;
};

struct NodeDrained {
  NodeName node;
  bool operator==(const NodeDrained&) const = default;
};

struct ModelRecorded {
  ModelManifest manifest;
  bool operator==(const ModelRecorded&) const = default;
};

struct DeploymentApplied {
  DeploymentSpec spec;
  DeploymentUid uid;          // used if the deployment is new
  Revision expectedRevision;  // 0: any
  bool operator==(const DeploymentApplied&) const = default;
};

struct DeploymentScaled {
  TenantName tenant;
  DeploymentName name;
  uint32_t replicas = 0;
  Revision expectedRevision;
  bool operator==(const DeploymentScaled&) const = default;
};

struct DeploymentDeleted {
  TenantName tenant;
  DeploymentName name;
  Revision expectedRevision;
  bool operator==(const DeploymentDeleted&) const = default;
};

using GroupSecret = std::array<uint8_t, 32>;

// A new generation of a replica: all of its ranks or none.
struct ReplicaPlaced {
  DeploymentUid deployment;
  ReplicaNumber replica;
  Generation generation;
  Revision revision;  // of the spec it was placed for
  ShardPlan plan;
  Placement placement;
  GroupSecret secret{};
  bool operator==(const ReplicaPlaced&) const = default;
};

// What one node says to one replica's wish.
struct NodeVerdict {
  NodeName node;
  std::string verdict;  // "busy", "fits", "short", "type", "health", "cordoned"
  std::string detail;
  bool operator==(const NodeVerdict&) const = default;
};

struct ReplicaWaiting {
  DeploymentUid deployment;
  ReplicaNumber replica;
  Reason reason = Reason::WAITING_FOR_CAPACITY;
  std::string message;
  std::vector<NodeVerdict> verdicts;
  std::vector<std::string> fixes;
  bool operator==(const ReplicaWaiting&) const = default;
};

struct RankProgressed {
  RankRef rank;
  ReplicaPhase phase = ReplicaPhase::PENDING;
  Reason reason = Reason::NONE;
  std::string message;
  uint32_t pid = 0;               // 0: no process
  uint64_t processStartTime = 0;  // field 22 of /proc/PID/stat
  Bytes loaded;
  std::string rendezvous;  // rank 0 only: where its group meets
  std::string firstError;
  bool operator==(const RankProgressed&) const = default;
};

// Ends a generation; its devices stay taken until the nodes' agents say that nothing runs there any
// more.
struct ReplicaRetired {
  DeploymentUid deployment;
  ReplicaNumber replica;
  Generation generation;
  Reason reason = Reason::NONE;
  std::string message;
  bool operator==(const ReplicaRetired&) const = default;
};

struct RanksReleased {
  NodeName node;
  std::vector<RankRef> ranks;
  bool operator==(const RanksReleased&) const = default;
};

// From here on commands and records of this level are written; binaries below it stop.
struct SchemaLevelRaised {
  uint32_t level = 0;
  std::vector<CoordinatorId> understoodBy;  // all configured ones, as they reported
  bool operator==(const SchemaLevelRaised&) const = default;
};

using CommandBody =
    std::variant<LeaderStarted, NodeRegistered, NodePhaseChanged, NodeCordoned, NodeUncordoned,
                 NodeDrainStarted, NodeDrained, ModelRecorded, DeploymentApplied, DeploymentScaled,
                 DeploymentDeleted, ReplicaPlaced, ReplicaWaiting, RankProgressed, ReplicaRetired,
                 RanksReleased, SchemaLevelRaised>;

struct Command {
  uint32_t schemaVersion = 1;  // schema level of the state it was decided on
  std::string principal;       // "admin/alice", "coordinator/co1"
  RequestId request;           // zero for what the leader decided by itself
  Instant decidedAt;
  WallTime decidedWall;  // for display only
  CommandBody body;
  bool operator==(const Command&) const = default;
};

}  // namespace muster

// What coordinators and agents say to each other, as values; protocol/worker.capnp is the wire
// form.
#pragma once

#include "base/ids.h"
#include "base/result.h"
#include "base/units.h"
#include "protocol/command.h"
#include "protocol/model.h"

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace muster {

// Total order of the orders to one agent.
struct OrderStamp {
  FencingToken token;
  LogIndex index;
  auto operator<=>(const OrderStamp&) const = default;
};

// One rank that shall run on a node.
struct Assignment {
  RankRef ref;
  TenantName tenant;
  DeploymentName deployment;
  uint32_t worldSize = 1;
  std::vector<DeviceIndex> devices;
  Bytes memory;  // on each device
  EngineSpec engine;
  std::string modelSource;
  std::string manifestDigest;  // empty: no manifest
  ShardPlan plan;
  std::string rendezvous;  // empty until rank 0 has told it
  GroupSecret secret{};
  Timeouts timeouts;
  bool operator==(const Assignment&) const = default;
};

struct Order {
  OrderStamp stamp;
  Incarnation agent;
  std::vector<Assignment> assignments;  // the node's whole desired set, by ref
  bool operator==(const Order&) const = default;
};

struct SliceReport {
  std::string tensor;
  std::string file;
  uint64_t offset = 0;  // absolute file position of the slice's first byte
  uint64_t bytes = 0;   // of the slice itself
  std::vector<uint64_t> shape;
  std::vector<std::pair<uint64_t, uint64_t>>
      ranges;            // half-open, one per dimension of the whole tensor
  std::string checksum;  // XXH3-64, seed 0, of the stored bytes in row-major order; 16 hex digits
  bool operator==(const SliceReport&) const = default;
};

struct RankReport {
  RankRef ref;
  ReplicaPhase phase = ReplicaPhase::PENDING;
  Reason reason = Reason::NONE;
  std::string message;
  uint32_t pid = 0;
  uint64_t processStartTime = 0;
  Bytes loaded;
  Bytes total;
  std::string rendezvous;
  std::string firstError;
  std::vector<SliceReport> slices;
  std::vector<RankNumber> joined;
  bool operator==(const RankReport&) const = default;
};

// A node whose files a rank may read.
struct WeightPeer {
  NodeName node;        // as its certificate says
  std::string address;  // "10.0.0.3:7411"
  bool operator==(const WeightPeer&) const = default;
};

// Where a rank gets its slices from when its node has no files of the model.
struct WeightSources {
  ModelManifest manifest;
  std::vector<WeightPeer> peers;                      // best first
  std::map<std::string, std::string> checksums = {};  // by tensor: of the same slices on a rank
                                                      // that is Ready; written as in SliceReport
  std::string missing = {};                           // why the files of its own node will not do
  bool operator==(const WeightSources&) const = default;
};

struct WorkerHello {
  std::string cluster;
  NodeInfo node;
  Incarnation incarnation;
  OrderStamp highestOrder;
  std::vector<RankReport> ranks;
  FencingToken token;
  std::string weightAddress = {};  // where other workers read weights from; empty: nowhere
  bool operator==(const WorkerHello&) const = default;
};

struct AttachAccepted {
  FencingToken token;
  CoordinatorId coordinator;
  bool leading = false;
  Duration heartbeat = 500_ms;
  bool operator==(const AttachAccepted&) const = default;
};

struct NodeReport {
  uint64_t sequence = 0;
  std::vector<RankReport> ranks;
  OrderStamp obeyed;
  std::map<DeviceIndex, std::string> unhealthy = {};  // all that must not be used, and why
  bool operator==(const NodeReport&) const = default;
};

struct HeartbeatAnswer {
  FencingToken token;
  bool leading = false;
  Duration leaseRemaining;  // 0: no lease from this coordinator
  uint64_t kept = 0;        // sequence of the report that it keeps as a base of changes; 0: none
  Duration next = {};       // when it wants to hear again; 0: as told when attaching
  bool operator==(const HeartbeatAnswer&) const = default;
};

// The refusal of an order carries the higher stamp that the agent has stored.
struct ObeyAnswer {
  Result<OrderStamp> outcome;
  OrderStamp highest;
};

}  // namespace muster

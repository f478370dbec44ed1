// The door for workers: attach and heartbeat. A worker speaks for the node its certificate names
// and for no other.
#pragma once

#include "coordinator/authorization.h"
#include "coordinator/worker_registry.h"
#include "protocol/worker.capnp.h"

#include <kj/function.h>

namespace muster::coordinator {

// What the gate asks of its coordinator.
class WorkerAuthority {
 public:
  virtual ~WorkerAuthority() noexcept(false) = default;
  virtual const ClusterName& cluster() const = 0;
  virtual const CoordinatorId& id() const = 0;
  virtual FencingToken token()
      const = 0;                     // highest this coordinator knows; zero while it knows none
  virtual bool leading() const = 0;  // serving as leader now
  // A worker has obeyed somebody with a higher token: who leads with a lower one stops.
  virtual void sawToken(const FencingToken& token, const NodeName& from) = 0;
  // Extends the node's lease and says what is left of it; 0 unless leading.
  virtual Duration extendLease(const NodeName& node) = 0;
  // Where a rank of this node may load its slices from. Refuses NOT_LEADER unless leading, and what
  // weightSourcesOf() refuses.
  virtual kj::Promise<Result<WeightSources>> weightSources(NodeName node, RankRef rank) = 0;
};

struct WorkerGateParts {
  WorkerAuthority& authority;
  WorkerRegistry& registry;
  std::function<void(RpcConnectionId)> closeConnection;
  Logger logger;
};

// How often a worker is asked to be heard of. A standby learns by a push that it leads, and asks
// then; until that day it only wants to know that the connection lives.
constexpr Duration HEARTBEAT = 1_s;
constexpr Duration HEARTBEAT_TO_STANDBY = 4_s;

// The capability for one worker's connection; `parts` are borrowed and outlive it.
schema::WorkerGate::Client makeWorkerGate(const RpcPeer& peer, WorkerGateParts parts);

// Why this hello cannot be taken; nothing when it can.
std::optional<Refusal> checkHello(const WorkerHello& hello, const PeerIdentity& peer,
                                  const ClusterName& cluster, const FencingToken& known);

}  // namespace muster::coordinator

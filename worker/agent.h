// The worker's agent: attaches its node to the coordinators and obeys the one that leads.
//
// Everything outside is handed in, so that the simulation runs this very code. Destroying an agent
// leaves its ranks alone: the next one goes on with them.
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/tasks.h"
#include "base/transport.h"
#include "protocol/node.h"
#include "worker/coordinator_link.h"
#include "worker/lease.h"
#include "worker/order_keeper.h"
#include "worker/order_store.h"
#include "worker/ranks.h"

#include <kj/async.h>
#include <kj/memory.h>
#include <kj/timer.h>

#include <map>
#include <string>
#include <vector>

namespace muster::worker {

struct AgentEnvironment {
  kj::Timer& timer;
  const Clock& clock;
  Random& random;
  Transport& transport;
  Ranks& ranks;
  ModelInspection& inspection;
  OrderStore& orders;
  Logger logger;
};

struct AgentOptions {
  ClusterName cluster;
  NodeInfo node;
  std::vector<std::string> coordinators;  // RPC addresses of all of them
  LinkPolicy links = {};
  std::string weightAddress = {};  // of our weight port, as other nodes reach it; empty: none
};

// What people and machines are told about an agent.
struct AgentStatus {
  std::vector<LinkStatus> links;
  LeaseState lease = LeaseState::NONE_YET;
  Duration leaseRemaining;
  FencingToken token;
  OrderStamp order;
  std::vector<RankReport> ranks;
};

class Agent final : private LinkOwner, public WeightDirectory {
 public:
  // Loads the stored order, takes its ranks up again and starts to dial; everything in
  // `environment` outlives the agent. Refuses what OrderStore::load refuses.
  static Result<kj::Own<Agent>> start(AgentEnvironment environment, AgentOptions options);

  Agent(AgentEnvironment environment, AgentOptions options, StoredOrders stored);
  AgentStatus status() const;
  // How the node describes itself now.
  const NodeInfo& node() const { return options_.node; }
  // The devices that must not be used from now on, and why; all others may.
  void takeHealth(const std::map<DeviceIndex, std::string>& unhealthy);
  // Of the leader, whoever that is by then.
  kj::Promise<Result<WeightSources>> find(RankRef rank) override;

 private:
  void begin();
  Co<void> watchRanks();
  Co<void> watchLease();
  Co<Result<WeightSources>> findCo(RankRef rank);
  CoordinatorLink* leadingLink();
  void reviewLease();

  WorkerHello hello() const override;
  NodeReport report() override;
  schema::Agent::Client agentFor(const std::string& coordinator) override;
  Result<Done> sawToken(const FencingToken& token, const std::string& from) override;
  bool answered(SteadyTime sentAt, const HeartbeatAnswer& answer) override;
  bool isLed() const override;
  bool isAttached() const override;
  Signal& changes() override { return changes_; }

  AgentEnvironment environment_;
  AgentOptions options_;
  OrderKeeper keeper_;
  Lease lease_;
  LeaseState leaseSeen_ = LeaseState::NONE_YET;
  uint64_t reports_ = 0;
  Signal changes_;
  Signal leaseGrown_;
  std::vector<kj::Own<CoordinatorLink>> links_;
  Tasks tasks_;
};

}  // namespace muster::worker

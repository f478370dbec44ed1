// A worker for benchmarks: the product's own links, orders and leases, and devices and ranks that
// exist only in what it says.
#pragma once

#include "base/event_loop.h"
#include "base/pki.h"
#include "base/random.h"
#include "tests/support/memory_order_store.h"
#include "worker/agent_server.h"
#include "worker/coordinator_link.h"
#include "worker/lease.h"
#include "worker/order_keeper.h"

#include <functional>
#include <string>
#include <vector>

namespace muster::bench {

// Takes every order and starts nothing: its ranks never say a word.
class SilentRanks final : public worker::Ranks {
 public:
  void obey(std::vector<Assignment>) override {}
  void restore(std::vector<Assignment>) override {}
  std::vector<RankReport> reports() const override { return {}; }
  kj::Promise<void> changed() override { return kj::NEVER_DONE; }
  kj::Promise<worker::RankLog> readLog(RankRef, uint32_t) override { return worker::RankLog{}; }
};

// Knows no model.
class NoInspection final : public worker::ModelInspection {
 public:
  kj::Promise<Result<ModelManifest>> inspect(std::string source) override {
    return Result<ModelManifest>(Refusal{RefusalCode::MODEL_NOT_FOUND, "no model " + source});
  }
};

// What all agents of a process share.
struct AgentShop {
  EventLoop loop;
  SystemClock clock;
  SystemRandom random;
  Logger logger{{.level = LogLevel::ERROR}};
  ClusterName cluster;
  std::vector<std::string> coordinators;
  uint32_t devices = 8;
};

class SimulatedAgent final : private worker::LinkOwner {
 public:
  // `leaderAnswered`: a heartbeat was answered by the leader of this epoch, which had not answered
  // this agent before. `shop` is borrowed.
  SimulatedAgent(AgentShop& shop, const NodeName& name, const TlsFiles& files,
                 std::function<void(Epoch)> leaderAnswered);

  // At every coordinator, and a leader has answered.
  bool isStarted() const;

 private:
  WorkerHello hello() const override;
  NodeReport report() override { return {++reports_, {}, keeper_.highestOrder()}; }
  schema::Agent::Client agentFor(const std::string& coordinator) override;
  Result<Done> sawToken(const FencingToken& token, const std::string& from) override {
    return keeper_.sawToken(token, from);
  }
  bool answered(SteadyTime sentAt, const HeartbeatAnswer& answer) override;
  bool isLed() const override;
  bool isAttached() const override;
  worker::Signal& changes() override { return changes_; }

  AgentShop& shop_;
  NodeInfo node_;
  kj::Own<Transport> transport_;
  worker::MemoryOrderDisk disk_;
  worker::MemoryOrderStore orders_{disk_};
  SilentRanks ranks_;
  NoInspection inspection_;
  worker::OrderKeeper keeper_;
  worker::Lease lease_;
  worker::Signal changes_;
  uint64_t reports_ = 0;
  Epoch answeredIn_;
  std::function<void(Epoch)> leaderAnswered_;
  std::vector<kj::Own<worker::CoordinatorLink>> links_;
  Tasks tasks_;
};

}  // namespace muster::bench

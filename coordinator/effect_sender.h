// Carries orders to the agents: through the capability each passed at registration, once what the
// order rests on is committed, with a deadline, and again until it is obeyed.
#pragma once

#include "base/log.h"
#include "base/tasks.h"
#include "coordinator/coordinator_facts.h"
#include "coordinator/core/effects.h"
#include "coordinator/driver.h"
#include "coordinator/observed_keeper.h"
#include "coordinator/worker_gate.h"
#include "coordinator/worker_registry.h"

#include <kj/async.h>
#include <kj/timer.h>

#include <map>

namespace muster::coordinator {

constexpr Duration ORDER_DEADLINE = 3_s;
constexpr Duration ORDER_RETRY = 300_ms;

class EffectSender {
 public:
  // All borrowed; they outlive this.
  struct Parts {
    kj::Timer& timer;
    Driver& driver;
    WorkerRegistry& registry;
    ObservedKeeper& keeper;
    WorkerAuthority& authority;
    CoordinatorFacts& facts;
    Logger& logger;
  };
  explicit EffectSender(Parts parts) : parts_(parts) {}

  // Takes the newest order for a node; one that is still on its way to the node is given up.
  void send(NodeOrder order);

 private:
  kj::Promise<void> deliver(NodeName node, Order order);
  kj::Promise<void> obey(NodeName node, const Order& order);
  void answered(const NodeName& node, const OrderStamp& stamp, schema::ObeyAnswer::Reader answer);
  void failed(const NodeName& node, const OrderStamp& stamp, const kj::Exception& why);

  Parts parts_;
  std::map<NodeName, kj::Promise<void>> underWay_;
};

}  // namespace muster::coordinator

// What this agent has taken and seen: the one place that changes it, stores it, and obeys.
#pragma once

#include "base/log.h"
#include "protocol/order.h"
#include "worker/order_gate.h"
#include "worker/order_store.h"
#include "worker/ranks.h"

namespace muster::worker {

class OrderKeeper {
 public:
  // `loaded`: what `store` held at the start. All are borrowed.
  OrderKeeper(OrderStore& store, StoredOrders loaded, Incarnation own, Ranks& ranks, Logger logger);

  // Obeys what was stored, so that running ranks are adopted before anybody is told of them.
  void restore();

  // Takes an order as order_gate.h says: stored durably first, then obeyed. Refuses DISK_FULL as
  // well; then nothing has changed. `from`: for the log.
  ObeyAnswer obey(Order order, const std::string& from);

  // Remembers a token that somebody told. Refuses HISTORY_MISMATCH for another cluster's. A full
  // disk does not make it forget: it is stored with the next change that fits.
  Result<Done> sawToken(const FencingToken& token, const std::string& from);

  const Incarnation& incarnation() const { return own_; }
  const OrderStamp& highestOrder() const { return known_.order.stamp; }
  const FencingToken& token() const { return known_.token; }

 private:
  OrderFence fence() const { return {own_, known_.order.stamp, known_.token}; }
  Result<Done> store(StoredOrders next);

  OrderStore& store_;
  StoredOrders known_;
  Incarnation own_;
  Ranks& ranks_;
  Logger logger_;
};

}  // namespace muster::worker

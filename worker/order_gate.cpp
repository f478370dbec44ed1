#include "worker/order_gate.h"

#include "base/planted_bug.h"

#include <algorithm>

namespace muster::worker {
namespace {

std::string describe(const OrderStamp& stamp) {
  return toText(stamp.token) + ", index " + std::to_string(stamp.index.value);
}

Refusal stale(std::string text) { return {RefusalCode::STALE_ORDER, std::move(text)}; }

}  // namespace

Result<OrderVerdict> judgeOrder(const OrderFence& fence, const Order& order) {
  const OrderStamp& stamp = order.stamp;
  if (areMixedUp(stamp.token, fence.token)) {
    return Refusal{RefusalCode::HISTORY_MISMATCH,
                   "the order is of history " + toText(stamp.token.history.guid) +
                       ", this agent obeys " + toText(fence.token.history.guid) +
                       " of the same number: two clusters were mixed up"};
  }
  if (order.agent != fence.own) {
    return stale("the order is for incarnation " + toText(order.agent) + " of the agent, this is " +
                 toText(fence.own));
  }
  if (MUSTER_PLANTED_BUG(NO_STALE_ORDER)) return OrderVerdict::TAKE;
  if (stamp.token < fence.token) {
    return stale("the order is of " + describe(stamp) + ", the agent has seen " +
                 toText(fence.token));
  }
  if (stamp == fence.stored) return OrderVerdict::REPEAT;
  if (stamp < fence.stored) {
    return stale("the order is of " + describe(stamp) + ", the agent obeys " +
                 describe(fence.stored));
  }
  return OrderVerdict::TAKE;
}

OrderStamp highestKnown(const OrderFence& fence) {
  return std::max(fence.stored, OrderStamp{fence.token, {}});
}

bool areMixedUp(const FencingToken& a, const FencingToken& b) {
  bool bothKnown = !a.history.guid.isNull() && !b.history.guid.isNull();
  return bothKnown && a.history.number == b.history.number && a.history.guid != b.history.guid;
}

std::string toText(const FencingToken& token) {
  return "history " + std::to_string(token.history.number) + ", epoch " +
         std::to_string(token.epoch.value);
}

}  // namespace muster::worker

// Which orders an agent takes. Pure.
//
// A leader that was deposed may not know it yet, so the receiver decides: every order carries
// (history, epoch, index), and only higher ones than the stored are taken.
#pragma once

#include "base/ids.h"
#include "base/result.h"
#include "protocol/order.h"

namespace muster::worker {

// What the agent holds against an order.
struct OrderFence {
  Incarnation own;     // of this life of the agent
  OrderStamp stored;   // of the newest order taken
  FencingToken token;  // highest seen from anybody; at least that of `stored`
};

enum class OrderVerdict { TAKE, REPEAT };

// Refuses STALE_ORDER for what is older than something we know, and for an order to another life of
// this agent; HISTORY_MISMATCH for another cluster's.
Result<OrderVerdict> judgeOrder(const OrderFence& fence, const Order& order);

// What a refusal tells the sender about: the higher of the stored order and the highest token.
OrderStamp highestKnown(const OrderFence& fence);

// Two histories of one number with different ids: two clusters were mixed up.
bool areMixedUp(const FencingToken& a, const FencingToken& b);

std::string toText(const FencingToken& token);  // "history 2, epoch 17"

}  // namespace muster::worker

#include "worker/order_keeper.h"

#include <kj/exception.h>

#include <algorithm>

namespace muster::worker {

OrderKeeper::OrderKeeper(OrderStore& store, StoredOrders loaded, Incarnation own, Ranks& ranks,
                         Logger logger)
    : store_(store),
      known_(std::move(loaded)),
      own_(own),
      ranks_(ranks),
      logger_(std::move(logger)) {}

void OrderKeeper::restore() {
  if (known_.order.stamp == OrderStamp{}) return;
  logger_.info("going on with the stored order", {{"epoch", known_.order.stamp.token.epoch},
                                                  {"index", known_.order.stamp.index},
                                                  {"ranks", known_.order.assignments.size()}});
  ranks_.restore(known_.order.assignments);
}

ObeyAnswer OrderKeeper::obey(Order order, const std::string& from) {
  auto verdict = judgeOrder(fence(), order);
  if (!verdict) {
    logger_.warn("order refused", {{"from", from}, {"why", verdict.refusal().text}});
    return {verdict.refusal(), highestKnown(fence())};
  }
  if (*verdict == OrderVerdict::REPEAT) return {order.stamp, order.stamp};
  auto stored = store({std::max(order.stamp.token, known_.token), std::move(order)});
  if (!stored) {
    logger_.error("order refused", {{"from", from}, {"why", stored.refusal().text}});
    return {stored.refusal(), highestKnown(fence())};
  }
  logger_.info("order taken", {{"from", from},
                               {"epoch", known_.order.stamp.token.epoch},
                               {"index", known_.order.stamp.index},
                               {"ranks", known_.order.assignments.size()}});
  ranks_.obey(known_.order.assignments);
  return {known_.order.stamp, known_.order.stamp};
}

Result<Done> OrderKeeper::sawToken(const FencingToken& token, const std::string& from) {
  if (areMixedUp(token, known_.token)) {
    return Refusal{RefusalCode::HISTORY_MISMATCH,
                   "coordinator " + from + " is of history " + muster::toText(token.history.guid) +
                       ", this agent has obeyed " + muster::toText(known_.token.history.guid) +
                       " of the same number: two clusters were mixed up"};
  }
  if (token <= known_.token) return Done{};
  logger_.info("new epoch", {{"epoch", token.epoch}, {"from", from}});
  auto stored = store({token, known_.order});
  if (!stored) {
    logger_.error("the new epoch is kept in memory only", {{"why", stored.refusal().text}});
    known_.token = token;
  }
  return Done{};
}

// The disk first: what it refuses has not happened.
Result<Done> OrderKeeper::store(StoredOrders next) {
  Result<Done> saved = Done{};
  KJ_IF_MAYBE (why, kj::runCatchingExceptions([&] { saved = store_.save(next); })) {
    saved = Refusal{RefusalCode::INTERNAL,
                    "the order cannot be stored: " + std::string(why->getDescription().cStr())};
  }
  if (saved) known_ = std::move(next);
  return saved;
}

}  // namespace muster::worker

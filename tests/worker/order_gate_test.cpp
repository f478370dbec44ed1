#include "worker/order_gate.h"

#include <gtest/gtest.h>

namespace muster::worker::order_gate_test {
namespace {

const Guid OURS{1, 1};
const Guid HISTORY{7, 7};

FencingToken token(uint64_t history, uint64_t epoch, Guid guid = HISTORY) {
  return {{history, guid}, {epoch}};
}
OrderStamp stamp(uint64_t history, uint64_t epoch, uint64_t index, Guid guid = HISTORY) {
  return {token(history, epoch, guid), {index}};
}

// Stored: history 2, epoch 5, index 40; epoch 6 has been seen in somebody's answer.
OrderFence fence() { return {OURS, stamp(2, 5, 40), token(2, 6)}; }

struct Case {
  const char* name;
  OrderStamp stamp;
  Incarnation agent;
  std::optional<OrderVerdict> verdict;  // nothing: refused with `code`
  RefusalCode code = RefusalCode::STALE_ORDER;
};

TEST(OrderGate, takesOnlyWhatIsHigher) {
  const Case cases[] = {
      {"higher index of the seen epoch", stamp(2, 6, 41), OURS, OrderVerdict::TAKE},
      {"lower index of a higher epoch", stamp(2, 7, 3), OURS, OrderVerdict::TAKE},
      {"lower epoch of a higher history", stamp(3, 1, 1, {9, 9}), OURS, OrderVerdict::TAKE},
      {"higher index of the stored epoch, which was deposed", stamp(2, 5, 41), OURS, {}},
      {"the stored stamp, whose epoch was deposed", stamp(2, 5, 40), OURS, {}},
      {"lower epoch", stamp(2, 4, 99), OURS, {}},
      {"lower history", stamp(1, 9, 99, {3, 3}), OURS, {}},
      {"another life of the agent", stamp(2, 6, 41), {1, 2}, {}},
      {"nobody's order", {}, {}, {}},
      {"another cluster", stamp(2, 9, 9, {8, 8}), OURS, {}, RefusalCode::HISTORY_MISMATCH},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    auto verdict = judgeOrder(fence(), Order{c.stamp, c.agent, {}});
    ASSERT_EQ(verdict.ok(), c.verdict.has_value());
    if (c.verdict) {
      EXPECT_EQ(*verdict, *c.verdict);
    } else {
      EXPECT_EQ(verdict.refusal().code, c.code) << verdict.refusal().text;
    }
  }
}

TEST(OrderGate, judgesWithinTheStoredEpochByIndex) {
  OrderFence held{OURS, stamp(2, 5, 40), token(2, 5)};
  auto judged = [&](uint64_t index) {
    return judgeOrder(held, Order{stamp(2, 5, index), OURS, {}});
  };
  EXPECT_EQ(*judged(41), OrderVerdict::TAKE);
  EXPECT_EQ(*judged(40), OrderVerdict::REPEAT);
  EXPECT_EQ(judged(39).refusal().code, RefusalCode::STALE_ORDER);
}

TEST(OrderGate, tellsTheHighestOfOrderAndToken) {
  EXPECT_EQ(highestKnown(fence()), stamp(2, 6, 0));
  EXPECT_EQ(highestKnown({OURS, stamp(2, 6, 40), token(2, 6)}), stamp(2, 6, 40));
}

TEST(OrderGate, anUnknownHistoryIsNotAnotherOne) {
  EXPECT_FALSE(areMixedUp({}, token(0, 1)));
  EXPECT_FALSE(areMixedUp(token(1, 1), token(2, 1, {9, 9})));
  EXPECT_TRUE(areMixedUp(token(2, 1), token(2, 1, {9, 9})));
}

}  // namespace
}  // namespace muster::worker::order_gate_test

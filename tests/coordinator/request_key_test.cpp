// A text of the caller's names one request, for as long as outcomes are kept.
#include "coordinator/request_key.h"

#include "coordinator/core/core.h"

#include <gtest/gtest.h>

namespace muster::coordinator::request_key_test {
namespace {

constexpr Instant NOON{Duration{3600_s * 12}.nanos};
const Guid KEY = guidOfKey("operator/anna", "k1");

State stateWith(const RequestId& id) {
  State state = emptyState({1, {2, 3}});
  state.outcomes.emplace(outcomeKey(id), Outcome{});
  return state;
}

TEST(RequestKey, isTheSameRequestUntilItsOutcomeIsForgotten) {
  State empty = emptyState({1, {2, 3}});
  RequestId first = requestOf(empty, KEY, NOON);
  State state = stateWith(first);
  for (Duration later : {0_s, 1_s, 61_s, 60_s * 8, 60_s * 9}) {
    EXPECT_EQ(requestOf(state, KEY, NOON + later), first) << later.millis();
  }
  EXPECT_NE(requestOf(state, KEY, NOON + 60_s * 11), first);
}

TEST(RequestKey, isNeverTooOldToBeDecided) {
  State empty = emptyState({1, {2, 3}});
  for (int64_t second = 0; second < 120; second++) {
    Instant now = NOON + Duration{second * 1'000'000'000};
    RequestId id = requestOf(empty, KEY, now);
    EXPECT_LE(id.clusterTime, now);
    EXPECT_LT(now - id.clusterTime, 60_s);
  }
}

TEST(RequestKey, isAnotherRequestForAnotherKeyOrCaller) {
  EXPECT_EQ(guidOfKey("operator/anna", "k1"), KEY);
  EXPECT_NE(guidOfKey("operator/anna", "k2"), KEY);
  EXPECT_NE(guidOfKey("operator/bob", "k1"), KEY);
  EXPECT_NE(guidOfKey("operator/annak", "1"), KEY);
  EXPECT_TRUE(isTimeless({KEY, {}}));
  EXPECT_FALSE(isTimeless({KEY, NOON}));
  EXPECT_FALSE(isTimeless({}));
}

}  // namespace
}  // namespace muster::coordinator::request_key_test

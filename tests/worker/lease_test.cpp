#include "worker/lease.h"

#include <gtest/gtest.h>

namespace muster::worker::lease_test {
namespace {

FencingToken epoch(uint64_t number) { return {{1, {7, 7}}, {number}}; }
constexpr SteadyTime T0{1'000'000'000'000};

TEST(Lease, lastsForFourFifthsFromTheSendingOfTheRequest) {
  Lease lease;
  EXPECT_EQ(stateOf(lease, T0), LeaseState::NONE_YET);
  EXPECT_TRUE(lease.take(T0, {epoch(3), true, 6_s}, epoch(3)));
  EXPECT_EQ(*lease.end(), T0 + 4800_ms);
  EXPECT_EQ(stateOf(lease, T0 + 4799_ms), LeaseState::HELD);
  EXPECT_EQ(stateOf(lease, T0 + 4800_ms), LeaseState::EXPIRED);
}

struct Case {
  const char* name;
  HeartbeatAnswer answer;
  uint64_t highest;
  Duration endsAfter;  // T0; a lease of 4.8 s is held already
  bool leads;
};

TEST(Lease, isExtendedByTheLeaderOfTheHighestEpochAlone) {
  const Case cases[] = {
      {"the leader", {epoch(3), true, 7_s}, 3, 5600_ms, true},
      {"a new leader", {epoch(4), true, 7_s}, 4, 5600_ms, true},
      {"a standby", {epoch(3), false, 7_s}, 3, 4800_ms, false},
      {"a deposed leader", {epoch(3), true, 7_s}, 4, 4800_ms, false},
      {"a leader whose check is old", {epoch(3), true, 0_s}, 3, 4800_ms, true},
      {"less than it said before", {epoch(3), true, 2_s}, 3, 4800_ms, true},
      {"a negative time", {epoch(3), true, Duration{-1}}, 3, 4800_ms, true},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Lease lease;
    lease.take(T0, {epoch(3), true, 6_s}, epoch(3));
    EXPECT_EQ(lease.take(T0, c.answer, epoch(c.highest)), c.leads);
    EXPECT_EQ(*lease.end(), T0 + c.endsAfter);
  }
}

TEST(Lease, aLateAnswerCountsFromItsRequest) {
  Lease lease;
  lease.take(T0, {epoch(3), true, 6_s}, epoch(3));
  EXPECT_FALSE(lease.held(T0 + 5_s)) << "the answer came 5 s after the request";
}

}  // namespace
}  // namespace muster::worker::lease_test

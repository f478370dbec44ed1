#include "base/backoff.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace muster::backoff_test {
namespace {

constexpr BackoffPolicy POLICY{.delayMin = 100_ms, .delayMax = 2_s};

TEST(Backoff, limitsDoubleUpToTheMaximum) {
  const Duration LIMITS[] = {100_ms, 200_ms, 400_ms, 800_ms, 1600_ms, 2_s, 2_s, 2_s};
  Duration highest[8];
  SeededRandom random(1);
  for (int round = 0; round < 2000; round++) {
    Backoff backoff(POLICY, random);
    for (int i = 0; i < 8; i++) {
      auto delay = backoff.next();
      ASSERT_GT(delay, 0_ms);
      ASSERT_LE(delay, LIMITS[i]);
      highest[i] = std::max(highest[i], delay);
    }
  }
  for (int i = 0; i < 8; i++)
    EXPECT_GT(highest[i], LIMITS[i] * 9 / 10) << "full jitter reaches the limit";
}

TEST(Backoff, resetStartsAgain) {
  SeededRandom random(2);
  Backoff backoff(POLICY, random);
  for (int i = 0; i < 1000; i++) ASSERT_LE(backoff.next(), 2_s);
  EXPECT_EQ(backoff.tries(), 1000u);
  backoff.reset();
  EXPECT_LE(backoff.next(), 100_ms);
}

TEST(Backoff, equalSeedsGiveEqualDelays) {
  SeededRandom first(3), second(3);
  Backoff one(POLICY, first), other(POLICY, second);
  for (int i = 0; i < 20; i++) EXPECT_EQ(one.next(), other.next());
}

}  // namespace
}  // namespace muster::backoff_test

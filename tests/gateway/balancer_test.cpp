// Which replica each policy picks.
#include "gateway/balancer.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace muster::gateway::balancer_test {
namespace {

std::vector<Candidate> candidates(std::vector<uint32_t> outstanding) {
  static const std::vector<std::string> NAMES = {"a/0", "a/1", "a/2", "a/3", "a/4", "a/5"};
  std::vector<Candidate> out;
  for (uint32_t count : outstanding) out.push_back({NAMES[out.size()], 1, count});
  return out;
}

class Balancing : public ::testing::Test {
 public:
  ~Balancing() noexcept override {}

 protected:
  size_t pick(Balance policy, const std::vector<Candidate>& from, uint64_t prefix = 0) {
    return pickReplica(policy, from, {turn_++, prefix, random_});
  }
  std::map<size_t, int> picks(Balance policy, const std::vector<Candidate>& from, int times) {
    std::map<size_t, int> counts;
    for (int i = 0; i < times; ++i) ++counts[pick(policy, from)];
    return counts;
  }

  SeededRandom random_{1};
  uint64_t turn_ = 0;
};

TEST_F(Balancing, roundRobinTakesTurns) {
  auto three = candidates({9, 0, 0});
  for (size_t i = 0; i < 9; ++i) EXPECT_EQ(pick(Balance::ROUND_ROBIN, three), i % 3);
}

TEST_F(Balancing, randomTakesEachAlike) {
  for (auto [place, count] : picks(Balance::RANDOM, candidates({9, 0, 0}), 3000)) {
    EXPECT_NEAR(count, 1000, 120) << place;
  }
}

TEST_F(Balancing, weightedFollowsTheWeights) {
  auto three = candidates({0, 0, 0});
  three[1].weight = 2;
  three[2].weight = 7;
  auto counts = picks(Balance::WEIGHTED, three, 10'000);
  EXPECT_NEAR(counts[0], 1000, 150);
  EXPECT_NEAR(counts[1], 2000, 200);
  EXPECT_NEAR(counts[2], 7000, 250);
}

TEST_F(Balancing, leastOutstandingTakesTheLeastLoadedForItsWeight) {
  EXPECT_EQ(pick(Balance::LEAST_OUTSTANDING, candidates({3, 1, 2})), 1u);
  auto two = candidates({3, 4});
  two[1].weight = 2;
  EXPECT_EQ(pick(Balance::LEAST_OUTSTANDING, two), 1u);
}

TEST_F(Balancing, amongEquallyLoadedChanceDecides) {
  for (auto [place, count] : picks(Balance::LEAST_OUTSTANDING, candidates({2, 1, 1, 1}), 3000)) {
    EXPECT_NE(place, 0u);
    EXPECT_NEAR(count, 1000, 120) << place;
  }
}

TEST_F(Balancing, aPrefixFindsItsReplicaAgain) {
  auto four = candidates({0, 0, 0, 0});
  std::map<size_t, int> spread;
  for (uint64_t prefix = 1; prefix <= 4000; ++prefix) {
    size_t first = pick(Balance::PREFIX, four, prefix);
    EXPECT_EQ(pick(Balance::PREFIX, four, prefix), first);
    ++spread[first];
  }
  for (auto [place, count] : spread) EXPECT_NEAR(count, 1000, 120) << place;
}

TEST_F(Balancing, aReplicaThatGoesMovesOnlyItsOwnPrefixes) {
  auto four = candidates({0, 0, 0, 0});
  auto three = candidates({0, 0, 0});
  for (uint64_t prefix = 1; prefix <= 1000; ++prefix) {
    size_t before = pick(Balance::PREFIX, four, prefix);
    if (before < 3) {
      EXPECT_EQ(pick(Balance::PREFIX, three, prefix), before);
    }
  }
}

TEST_F(Balancing, aPrefixLeavesAReplicaThatHoldsFarMoreThanItsShare) {
  for (uint64_t prefix = 1; prefix <= 100; ++prefix) {
    auto idle = candidates({0, 0, 0, 0});
    size_t home = pick(Balance::PREFIX, idle, prefix);
    auto loaded = candidates({4, 4, 4, 4});
    EXPECT_EQ(pick(Balance::PREFIX, loaded, prefix), home);
    loaded[home].outstanding = 9;
    EXPECT_NE(pick(Balance::PREFIX, loaded, prefix), home);
  }
}

TEST_F(Balancing, oneCandidateIsTakenByEveryPolicy) {
  auto one = candidates({100});
  for (auto policy : {Balance::LEAST_OUTSTANDING, Balance::ROUND_ROBIN, Balance::RANDOM,
                      Balance::WEIGHTED, Balance::PREFIX}) {
    EXPECT_EQ(pick(policy, one, 7), 0u);
  }
}

}  // namespace
}  // namespace muster::gateway::balancer_test

#include "worker/engine/native/serving/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

namespace muster::worker::sampler_test {
namespace {

constexpr float NOT_A_NUMBER = std::numeric_limits<float>::quiet_NaN();
constexpr float INFINITE = std::numeric_limits<float>::infinity();

// How often each token is chosen over `draws` positions.
std::map<TokenId, int> histogram(const std::vector<float>& logits, SamplingOptions options,
                                 int draws = 20'000) {
  std::map<TokenId, int> counts;
  for (int position = 0; position < draws; ++position) {
    auto choice = chooseToken(logits, options, static_cast<uint64_t>(position));
    ++counts[choice.value().chosen.token];
  }
  return counts;
}

TEST(Sampler, greedyTakesTheLikeliestAndOfEqualOnesTheFirst) {
  SamplingOptions greedy{.temperature = 0};
  EXPECT_EQ(chooseToken(std::vector<float>{1, 3, 2}, greedy, 0)->chosen.token, 1u);
  EXPECT_EQ(chooseToken(std::vector<float>{1, 3, 3}, greedy, 5)->chosen.token, 1u);
}

TEST(Sampler, logprobsAreOfTheLogitsAsTheyAre) {
  // exp: 1, 2, 4, 1 of 8
  std::vector<float> logits = {0, std::log(2.0f), std::log(4.0f), 0};
  auto choice = chooseToken(logits, {.temperature = 0}, 0, 3);
  ASSERT_TRUE(choice.has_value());
  EXPECT_NEAR(choice->chosen.logprob, std::log(0.5), 1e-6);
  ASSERT_EQ(choice->likeliest.size(), 3u);
  EXPECT_EQ(choice->likeliest[0].token, 2u);
  EXPECT_EQ(choice->likeliest[1].token, 1u);
  EXPECT_EQ(choice->likeliest[2].token, 0u) << "of equal ones the first";
  EXPECT_NEAR(choice->likeliest[2].logprob, std::log(0.125), 1e-6);
  auto hot = chooseToken(logits, {.temperature = 2, .seed = 1}, 0, 1);
  EXPECT_NEAR(hot->likeliest[0].logprob, std::log(0.5), 1e-6);
}

TEST(Sampler, drawsAsOftenAsTheProbabilitiesSay) {
  auto counts = histogram({0, std::log(2.0f), std::log(4.0f), 0}, {.seed = 3});
  EXPECT_NEAR(counts[0], 2500, 250);
  EXPECT_NEAR(counts[1], 5000, 350);
  EXPECT_NEAR(counts[2], 10'000, 450);
  EXPECT_NEAR(counts[3], 2500, 250);
}

TEST(Sampler, temperatureSharpensAndFlattens) {
  std::vector<float> logits = {0, 1};
  double cold = histogram(logits, {.temperature = 0.5})[1] / 20'000.0;
  double hot = histogram(logits, {.temperature = 2})[1] / 20'000.0;
  EXPECT_NEAR(cold, 1 / (1 + std::exp(-2.0)), 0.02);
  EXPECT_NEAR(hot, 1 / (1 + std::exp(-0.5)), 0.02);
}

TEST(Sampler, topKLeavesTheLikeliest) {
  auto counts = histogram({3, 1, 2, 0}, {.topK = 2});
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_GT(counts[0], 0);
  EXPECT_GT(counts[2], 0);
}

TEST(Sampler, topPLeavesTheFewestThatAreLikelyEnough) {
  // 0.5, 0.25, 0.125, 0.125
  std::vector<float> logits = {std::log(4.0f), std::log(2.0f), 0, 0};
  EXPECT_EQ(histogram(logits, {.topP = 0.5}).size(), 1u);
  EXPECT_EQ(histogram(logits, {.topP = 0.51}).size(), 2u);
  EXPECT_EQ(histogram(logits, {.topP = 0.8}).size(), 3u);
  EXPECT_EQ(histogram(logits, {.topP = 1}).size(), 4u);
  EXPECT_EQ(histogram(logits, {.topP = 1e-9}).size(), 1u) << "never none";
}

TEST(Sampler, topPCountsWhatTopKHasLeft) {
  std::vector<float> logits = {std::log(4.0f), std::log(2.0f), 0, 0};
  // of the two left the first has 2/3
  EXPECT_EQ(histogram(logits, {.topP = 0.6, .topK = 2}).size(), 1u);
  EXPECT_EQ(histogram(logits, {.topP = 0.7, .topK = 2}).size(), 2u);
}

TEST(Sampler, theSameSeedAndPositionGiveTheSameToken) {
  std::vector<float> logits(100, 0);
  int different = 0;
  for (uint64_t position = 0; position < 50; ++position) {
    auto first = chooseToken(logits, {.seed = 9}, position)->chosen.token;
    EXPECT_EQ(chooseToken(logits, {.seed = 9}, position)->chosen.token, first);
    if (chooseToken(logits, {.seed = 10}, position)->chosen.token != first) ++different;
  }
  EXPECT_GT(different, 40) << "another seed chooses otherwise";
}

TEST(Sampler, logitsThatAreNoNumbersAreNeverChosen) {
  for (double temperature : {0.0, 1.0}) {
    SamplingOptions options{.temperature = temperature};
    auto choice = chooseToken(std::vector<float>{NOT_A_NUMBER, 1, -INFINITE}, options, 0, 5);
    ASSERT_TRUE(choice.has_value());
    EXPECT_EQ(choice->chosen.token, 1u);
    EXPECT_NEAR(choice->chosen.logprob, 0, 1e-6);
  }
  EXPECT_FALSE(chooseToken(std::vector<float>{NOT_A_NUMBER}, {}, 0).has_value());
  EXPECT_FALSE(chooseToken(std::vector<float>{-INFINITE, -INFINITE}, {}, 0).has_value());
  EXPECT_FALSE(chooseToken(std::vector<float>{1, INFINITE}, {}, 0).has_value());
  EXPECT_FALSE(chooseToken({}, {}, 0).has_value());
}

}  // namespace
}  // namespace muster::worker::sampler_test

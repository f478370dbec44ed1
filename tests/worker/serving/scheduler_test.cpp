#include "worker/engine/native/serving/scheduler.h"

#include "base/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

namespace muster::worker::scheduler_test {
namespace {

using testing::ElementsAre;

std::vector<TokenId> prompt(size_t tokens) { return std::vector<TokenId>(tokens, 7); }

Scheduler small(SchedulerLimits limits = {.running = 4, .waiting = 4, .stepTokens = 8}) {
  return Scheduler({.blocks = 8, .blockTokens = 4}, 1000, limits);
}

TEST(Scheduler, plansTheWholePromptAndThenOneTokenAtATime) {
  auto scheduler = small();
  auto number = scheduler.add({1, 2, 3}, 5);
  ASSERT_TRUE(number.ok());
  auto first = scheduler.next();
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->step.number, 1u);
  ASSERT_EQ(first->step.sequences.size(), 1u);
  EXPECT_THAT(first->step.sequences[0].tokens, ElementsAre(1, 2, 3));
  EXPECT_EQ(first->step.sequences[0].firstPosition, 0u);
  EXPECT_EQ(first->step.sequences[0].blocks.size(), 1u);
  EXPECT_THAT(first->rows, ElementsAre(*number));

  scheduler.append(*number, 9);
  auto second = scheduler.next();
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->step.number, 2u);
  EXPECT_THAT(second->step.sequences[0].tokens, ElementsAre(9));
  EXPECT_EQ(second->step.sequences[0].firstPosition, 3u);
}

TEST(Scheduler, hasNothingToDoWithoutSequences) { EXPECT_FALSE(small().next().has_value()); }

TEST(Scheduler, cutsALongPromptIntoPiecesBesideTheAnswersUnderWay) {
  auto scheduler = small();
  auto older = scheduler.add(prompt(2), 10);
  scheduler.next();
  scheduler.append(*older, 1);
  auto younger = scheduler.add(prompt(12), 2);

  auto step = scheduler.next();
  ASSERT_TRUE(step.has_value());
  ASSERT_EQ(step->step.sequences.size(), 2u);
  EXPECT_EQ(step->step.sequences[0].tokens.size(), 1u);
  EXPECT_EQ(step->step.sequences[1].tokens.size(), 7u) << "what the budget of 8 leaves";
  EXPECT_EQ(step->step.sequences[1].wanted, WantedLogits::NONE);
  EXPECT_THAT(step->rows, ElementsAre(*older));

  scheduler.append(*older, 1);
  step = scheduler.next();
  EXPECT_EQ(step->step.sequences[1].firstPosition, 7u);
  EXPECT_EQ(step->step.sequences[1].tokens.size(), 5u);
  EXPECT_THAT(step->rows, ElementsAre(*older, *younger));
}

TEST(Scheduler, aLongPromptInFrontDoesNotHoldUpTheAnswersBehindIt) {
  auto scheduler = Scheduler({.blocks = 64, .blockTokens = 4}, 1000,
                             {.running = 4, .waiting = 4, .stepTokens = 8});
  auto longOne = scheduler.add(prompt(100), 2);
  auto shortOne = scheduler.add(prompt(1), 9);
  auto step = scheduler.next();
  ASSERT_EQ(step->step.sequences.size(), 2u);
  EXPECT_EQ(step->step.sequences[0].tokens.size(), 7u);
  EXPECT_THAT(step->rows, ElementsAre(*shortOne));
  scheduler.remove(*longOne);
}

TEST(Scheduler, takesTheBlocksOfTheYoungestAndComputesItAgain) {
  auto scheduler = Scheduler({.blocks = 3, .blockTokens = 4}, 1000,
                             {.running = 4, .waiting = 4, .stepTokens = 64});
  auto older = scheduler.add(prompt(4), 8);
  auto younger = scheduler.add(prompt(4), 8);
  scheduler.next();
  scheduler.append(*older, 1);
  scheduler.append(*younger, 2);
  auto both = scheduler.next();  // the older takes the third block, the younger gives way
  ASSERT_EQ(both->step.sequences.size(), 1u);
  EXPECT_THAT(both->rows, ElementsAre(*older));
  EXPECT_EQ(scheduler.preemptions(), 1u);
  EXPECT_EQ(scheduler.waiting(), 1u);

  scheduler.remove(*older);
  auto again = scheduler.next();
  ASSERT_EQ(again->step.sequences.size(), 1u);
  EXPECT_EQ(again->step.sequences[0].tokens, (std::vector<TokenId>{7, 7, 7, 7, 2}))
      << "its own tokens with it";
  EXPECT_EQ(again->step.sequences[0].firstPosition, 0u);
}

TEST(Scheduler, refusesWhatCanNeverFit) {
  auto scheduler = small();
  EXPECT_EQ(scheduler.longest(), 32u);
  auto refused = scheduler.add(prompt(30), 3);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.refusal().code, RefusalCode::TOO_LARGE);
  EXPECT_EQ(refused.refusal().text,
            "a prompt of 30 tokens and 3 more exceed the 32 tokens that fit");
  EXPECT_TRUE(scheduler.add(prompt(30), 2).ok());
  EXPECT_EQ(Scheduler({8, 4}, 20, {}).longest(), 20u) << "the model's positions bind, too";
}

TEST(Scheduler, refusesMoreThanMayWait) {
  auto scheduler = small();
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(scheduler.add(prompt(1), 1).ok());
  auto refused = scheduler.add(prompt(1), 1);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.refusal().code, RefusalCode::OVERLOADED);
  scheduler.next();  // four run now
  EXPECT_TRUE(scheduler.add(prompt(1), 1).ok());
}

TEST(Scheduler, aCancelledSequenceFreesItsBlocksAtOnce) {
  auto scheduler = small();
  auto number = scheduler.add(prompt(8), 2);
  scheduler.next();
  EXPECT_EQ(scheduler.blocksUsed(), 2u);
  scheduler.remove(*number);
  EXPECT_EQ(scheduler.blocksUsed(), 0u);
  scheduler.remove(*number);  // a second time does nothing
  EXPECT_FALSE(scheduler.next().has_value());
}

// A random history of arrivals and hang-ups. `check` looks at each step.
class History {
 public:
  explicit History(uint64_t seed)
      : random_(seed),
        cache_{.blocks = static_cast<uint32_t>(2 + random_.below(30)),
               .blockTokens = static_cast<uint32_t>(1 + random_.below(8))},
        limits_{.running = static_cast<uint32_t>(1 + random_.below(6)),
                .waiting = 1000,
                .stepTokens = static_cast<uint32_t>(6 + random_.below(20))},
        scheduler_(cache_, 10'000, limits_) {}

  void run() {
    for (int arrivals = 0; arrivals < 40 || !wanted_.empty();) {
      if (arrivals < 40 && random_.below(3) == 0) {
        arrive();
        ++arrivals;
      }
      if (!wanted_.empty() && random_.below(20) == 0) hangUp();
      auto planned = scheduler_.next();
      if (wanted_.empty()) continue;
      ASSERT_TRUE(planned.has_value()) << "somebody waits and nothing is computed";
      check(*planned);
      answer(*planned);
      ASSERT_LT(++steps_, 100'000) << "it does not end";
    }
    EXPECT_EQ(scheduler_.blocksUsed(), 0u) << "a block leaked";
    EXPECT_EQ(scheduler_.running() + scheduler_.waiting(), 0u);
  }

 private:
  struct Wanted {
    std::vector<TokenId> tokens;
    uint32_t left;
    uint32_t cached = 0;  // positions in the cache, as the steps so far say
  };

  void arrive() {
    auto longest = scheduler_.longest();
    auto length = static_cast<uint32_t>(1 + random_.below(longest - 1));
    auto answers = static_cast<uint32_t>(1 + random_.below(longest - length));
    std::vector<TokenId> tokens;
    for (uint32_t i = 0; i < length; ++i) tokens.push_back(nextToken_++);
    auto number = scheduler_.add(tokens, answers);
    ASSERT_TRUE(number.ok()) << number.refusal().text;
    wanted_[*number] = {tokens, answers};
  }

  void hangUp() {
    auto victim = wanted_.begin();
    std::advance(victim, static_cast<ptrdiff_t>(random_.below(wanted_.size())));
    scheduler_.remove(victim->first);
    wanted_.erase(victim);
  }

  void check(const PlannedStep& planned) {
    std::set<KvBlock> held;
    uint32_t tokens = 0;
    for (const auto& part : planned.step.sequences) {
      auto number = owner(part);
      auto& wanted = wanted_.at(number);
      if (part.firstPosition == 0) wanted.cached = 0;  // computed again
      EXPECT_EQ(part.firstPosition, wanted.cached) << "positions before are in the cache";
      wanted.cached += static_cast<uint32_t>(part.tokens.size());
      EXPECT_EQ(part.blocks.size(), (wanted.cached + cache_.blockTokens - 1) / cache_.blockTokens);
      for (KvBlock block : part.blocks) {
        EXPECT_LT(block, cache_.blocks);
        EXPECT_TRUE(held.insert(block).second) << "block " << block << " is held twice";
      }
      tokens += static_cast<uint32_t>(part.tokens.size());
    }
    EXPECT_LE(tokens, limits_.stepTokens);
    EXPECT_LE(planned.step.sequences.size(), limits_.running);
    EXPECT_EQ(owner(planned.step.sequences[0]), wanted_.begin()->first)
        << "the oldest gets on in every step";
  }

  // Tokens of a history are all different, so they say whose they are.
  SequenceNumber owner(const StepSequence& part) const {
    for (const auto& [number, wanted] : wanted_) {
      for (TokenId token : wanted.tokens) {
        if (token == part.tokens[0]) return number;
      }
    }
    ADD_FAILURE() << "a token of nobody is computed";
    return 0;
  }

  void answer(const PlannedStep& planned) {
    for (SequenceNumber number : planned.rows) {
      auto& wanted = wanted_.at(number);
      EXPECT_EQ(wanted.cached, wanted.tokens.size()) << "a token is chosen before all are computed";
      if (--wanted.left == 0) {
        scheduler_.remove(number);
        wanted_.erase(number);
        continue;
      }
      wanted.tokens.push_back(nextToken_++);
      scheduler_.append(number, wanted.tokens.back());
    }
  }

  SeededRandom random_;
  KvCacheShape cache_;
  SchedulerLimits limits_;
  Scheduler scheduler_;
  std::map<SequenceNumber, Wanted> wanted_;
  TokenId nextToken_ = 0;
  int steps_ = 0;
};

TEST(SchedulerProperty, noBlockIsHeldTwiceOrLostAndAllThatIsAdmittedEnds) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    History(seed).run();
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
}

}  // namespace
}  // namespace muster::worker::scheduler_test

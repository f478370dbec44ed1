#include "worker/engine/native/serving/engine_loop.h"

#include "tests/worker/serving/scripted_executor.h"
#include "worker/collective/collective.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <kj/async-io.h>
#include <kj/debug.h>

#include <semaphore>
#include <thread>

namespace muster::worker::engine_loop_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr auto GUARD = 20 * kj::SECONDS;  // only ends a test that would hang

GenerationTask task(const std::string& prompt, uint32_t tokensMax = 27) {
  GenerationTask task{.tokensMax = tokensMax, .stopTokens = {ByteTokenizer::END}};
  for (char c : prompt) task.prompt.push_back(static_cast<uint8_t>(c));
  task.sampling.temperature = 0;
  return task;
}

class EngineLoopTest : public testing::Test {
 public:
  ~EngineLoopTest() noexcept override {}

 protected:
  void start(KvCacheShape cache = {.blocks = 64, .blockTokens = 4}, SchedulerLimits limits = {}) {
    executor_ = std::make_unique<ScriptedExecutor>(cache);
    executor_->beforeStep = beforeStep_;
    loop_ =
        std::make_unique<EngineLoop>(*executor_, std::make_shared<ByteTokenizer>(), limits, clock_);
  }
  kj::Own<Generation> submit(GenerationTask task) {
    auto generation = loop_->submit(std::move(task));
    KJ_REQUIRE(generation.ok(), "refused");
    return kj::mv(*generation);
  }
  template <class T>
  T await(kj::Promise<T> promise) {
    return io_.provider->getTimer().timeoutAfter(GUARD, kj::mv(promise)).wait(io_.waitScope);
  }
  GenerationPiece whole(Generation& generation) {
    GenerationPiece gathered;
    while (!gathered.isLast()) gathered.merge(await(generation.next()));
    return gathered;
  }
  // Runs the engine until nothing holds a block.
  EngineStatus idle() {
    for (;;) {
      whole(*submit(task("z")));  // comes after whatever was asked before
      auto status = loop_->status();
      if (status.running == 0 && status.waiting == 0) return status;
    }
  }

  kj::AsyncIoContext io_ = kj::setupAsyncIo();
  SystemClock clock_;
  std::function<void(const Step&)> beforeStep_;
  std::unique_ptr<ScriptedExecutor> executor_;
  std::unique_ptr<EngineLoop> loop_;
};

TEST_F(EngineLoopTest, saysWhatTheModelSaysUntilItsEndToken) {
  start();
  auto answer = whole(*submit(task("uv")));
  EXPECT_EQ(answer.text, "wxyz");
  EXPECT_EQ(answer.finish, FinishReason::STOP);
  EXPECT_EQ(answer.tokens.size(), 5u) << "the end token is chosen, too";
}

TEST_F(EngineLoopTest, endsAtTheMostTokensAskedFor) {
  start();
  auto answer = whole(*submit(task("a", 3)));
  EXPECT_EQ(answer.text, "bcd");
  EXPECT_EQ(answer.finish, FinishReason::LENGTH);
}

TEST_F(EngineLoopTest, endsBeforeAStopString) {
  start();
  auto asked = task("a");
  asked.stops = {"fgh"};
  auto answer = whole(*submit(std::move(asked)));
  EXPECT_EQ(answer.text, "bcde");
  EXPECT_EQ(answer.finish, FinishReason::STOP);
}

TEST_F(EngineLoopTest, listsTheLikeliestTokens) {
  start();
  auto asked = task("a", 1);
  asked.likeliest = 2;
  auto answer = whole(*submit(std::move(asked)));
  ASSERT_EQ(answer.tokens.size(), 1u);
  EXPECT_EQ(answer.tokens[0].likeliest[0].token, uint32_t{'b'});
  EXPECT_EQ(answer.tokens[0].likeliest.size(), 2u);
}

TEST_F(EngineLoopTest, manyAtOnceInASmallCacheSayWhatEachSaysAlone) {
  auto ask = [](int i) {
    auto asked = task(std::string(static_cast<size_t>(1 + i % 9), static_cast<char>('a' + i)), 12);
    asked.likeliest = 2;  // the second depends on all that is in the cache
    return asked;
  };
  start();
  std::vector<std::vector<TokenChoice>> alone;
  for (int i = 0; i < 12; ++i) alone.push_back(whole(*submit(ask(i))).tokens);

  start({.blocks = 7, .blockTokens = 4}, {.running = 4, .waiting = 50, .stepTokens = 6});
  std::vector<kj::Own<Generation>> together;
  for (int i = 0; i < 12; ++i) together.push_back(submit(ask(i)));
  for (size_t i = 0; i < 12; ++i) {
    auto tokens = whole(*together[i]).tokens;
    ASSERT_EQ(tokens.size(), alone[i].size());
    for (size_t k = 0; k < tokens.size(); ++k) {
      EXPECT_EQ(tokens[k].likeliest, alone[i][k].likeliest) << "answer " << i << ", token " << k;
    }
  }
  EXPECT_GT(loop_->status().preemptions, 0u)
      << "the cache was large enough: the test shows nothing";
  EXPECT_EQ(idle().blocksUsed, 0u);
}

TEST_F(EngineLoopTest, anIdleGroupIsToldThatItLives) {
  start();
  while (executor_->keptAlive() == 0) std::this_thread::yield();
  EXPECT_EQ(executor_->steps(), 0u);
}

TEST_F(EngineLoopTest, aGroupThatBreaksWhileIdleIsReported) {
  start();
  executor_->breakWhenIdle();
  EXPECT_EQ(await(loop_->broken()), "idle: rank 1 left");
}

TEST_F(EngineLoopTest, whoHangsUpFreesItsBlocks) {
  start();
  auto first = submit(task(std::string(100, 'b'), 100));
  auto dropped = submit(task(std::string(100, 'b'), 100));
  await(dropped->next());
  dropped = nullptr;
  first = nullptr;
  EXPECT_EQ(idle().blocksUsed, 0u);
}

TEST_F(EngineLoopTest, refusesMoreThanMayWaitAndWhatNeverFits) {
  std::binary_semaphore go(0);
  beforeStep_ = [&go, first = true](const Step&) mutable {
    if (std::exchange(first, false)) go.acquire();
  };
  start({.blocks = 8, .blockTokens = 4}, {.running = 1, .waiting = 1, .stepTokens = 8});
  EXPECT_EQ(loop_->submit(task("abc", 30)).refusal().code, RefusalCode::TOO_LARGE);
  auto running = submit(task("y"));
  while (!loop_->status().step) std::this_thread::yield();
  auto waiting = submit(task("y"));
  auto refused = loop_->submit(task("y"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.refusal().code, RefusalCode::OVERLOADED);
  go.release();
  EXPECT_EQ(whole(*running).text, "z");
  EXPECT_EQ(whole(*waiting).text, "z");
}

TEST_F(EngineLoopTest, aBrokenGroupEndsEveryAnswerAndSaysWhy) {
  beforeStep_ = [](const Step& step) {
    if (step.number == 2) throw CollectiveBroken("rank 3 left during an all-reduce");
  };
  start();
  auto first = submit(task("a"));
  auto failed = whole(*first);
  ASSERT_TRUE(failed.failure.has_value());
  EXPECT_EQ(failed.failure->code, RefusalCode::RANK_CRASHED);
  EXPECT_EQ(await(loop_->broken()), "step 2: rank 3 left during an all-reduce");
  EXPECT_EQ(loop_->status().broken, "step 2: rank 3 left during an all-reduce");
  auto refused = loop_->submit(task("a"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.refusal().code, RefusalCode::RANK_CRASHED);
}

}  // namespace
}  // namespace muster::worker::engine_loop_test

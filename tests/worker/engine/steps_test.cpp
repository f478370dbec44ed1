// How steps may be put together: chunks of prompts, several sequences, any blocks.
#include "tests/support/native_group.h"
#include "worker/engine/native/step_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <kj/exception.h>

#include <algorithm>

namespace muster::testing::steps_test {
namespace {

using worker::KvBlock;
using worker::Step;
using worker::StepExecutor;
using worker::StepSequence;
using worker::WantedLogits;
using Rows = std::vector<std::vector<float>>;

NativeGroupTask taskOf(const std::string& name, uint32_t tensor, uint32_t pipeline) {
  auto model = readTinyModel(name, Rounding::F32);
  auto plan = planOf(model, tensor, pipeline);
  return {std::move(model), std::move(plan)};
}

std::vector<uint32_t> part(const std::vector<uint32_t>& tokens, size_t begin, size_t end) {
  return {tokens.begin() + static_cast<ptrdiff_t>(begin),
          tokens.begin() + static_cast<ptrdiff_t>(end)};
}

Rows execute(StepExecutor& executor, std::vector<StepSequence> sequences) {
  return rowsOf(executor.execute(Step{1, std::move(sequences)}), executor.vocabulary());
}

class Steps : public ::testing::TestWithParam<std::string> {};

TEST_P(Steps, ofChunksGiveTheBitsOfTheWholePrompt) {
  const auto task = taskOf(GetParam(), 2, 2);
  const auto& tokens = task.model.tokens;
  const auto whole = promptLogits(task, tokens);
  withGroup(task, [&](StepExecutor& executor) {
    Rows rows;
    size_t begin = 0;
    for (size_t end : {7, 8, 17, 20}) {
      auto more = execute(executor, {{part(tokens, begin, end), static_cast<uint32_t>(begin),
                                      blocksFor(20), WantedLogits::ALL}});
      rows.insert(rows.end(), more.begin(), more.end());
      begin = end;
    }
    EXPECT_EQ(rows, whole);
  });
}

TEST_P(Steps, ofManySequencesGiveTheBitsOfSingleOnes) {
  const auto task = taskOf(GetParam(), 2, 1);
  const auto& tokens = task.model.tokens;
  auto reversed = tokens;
  std::reverse(reversed.begin(), reversed.end());
  const auto first = promptLogits(task, tokens);
  const auto second = promptLogits(task, reversed);
  withGroup(task, [&](StepExecutor& executor) {
    // One is 12 tokens ahead when the other begins; their blocks are mixed and out of order.
    const std::vector<KvBlock> mine{9, 2};
    const std::vector<KvBlock> other{3, 0};
    execute(executor, {{part(tokens, 0, 12), 0, mine, WantedLogits::NONE}});
    auto rows = execute(executor, {{part(tokens, 12, 20), 12, mine, WantedLogits::LAST},
                                   {part(reversed, 0, 19), 0, other, WantedLogits::NONE}});
    ASSERT_EQ(rows.size(), 1u);
    EXPECT_EQ(rows[0], first.back());
    rows = execute(executor, {{{reversed.back()}, 19, other, WantedLogits::LAST}});
    EXPECT_EQ(rows, Rows{second.back()});
  });
}

INSTANTIATE_TEST_SUITE_P(Of, Steps, ::testing::ValuesIn(tinyModelNames()), [](const auto& info) {
  std::string name = info.param;
  std::erase(name, '-');
  return name;
});

TEST(Steps, answerWhatIsWantedOnly) {
  const auto task = taskOf("llama2", 1, 2);
  const auto& tokens = task.model.tokens;
  withGroup(task, [&](StepExecutor& executor) {
    auto rows = execute(executor, {{part(tokens, 0, 3), 0, {0}, WantedLogits::ALL},
                                   {part(tokens, 0, 5), 0, {1}, WantedLogits::NONE},
                                   {part(tokens, 0, 2), 0, {2}, WantedLogits::LAST}});
    ASSERT_EQ(rows.size(), 4u);
    EXPECT_EQ(rows[3], rows[1]);
    executor.keepAlive();
    EXPECT_TRUE(execute(executor, {{{tokens[5]}, 5, {1}, WantedLogits::NONE}}).empty());
  });
}

TEST(Steps, areRefusedBeforeAnyRankComputesThem) {
  const auto task = taskOf("llama2", 2, 1);
  withGroup(task, [&](StepExecutor& executor) {
    const StepSequence CASES[] = {
        {{}, 0, {0}, WantedLogits::LAST},                // no token
        {{67}, 0, {0}, WantedLogits::LAST},              // beyond the vocabulary
        {{1}, 16, {0}, WantedLogits::LAST},              // a block too few
        {{1}, 0, {32}, WantedLogits::LAST},              // no such block
        {{1}, 256, blocksFor(257), WantedLogits::LAST},  // beyond the model's positions
    };
    for (const auto& sequence : CASES) {
      EXPECT_THROW(executor.execute(Step{1, {sequence}}), kj::Exception);
    }
    // The group still stands.
    EXPECT_EQ(execute(executor, {{{1}, 0, {0}, WantedLogits::LAST}}).size(), 1u);
  });
}

TEST(Steps, breakWithTheGroup) {
  const auto task = taskOf("llama2", 2, 1);
  EXPECT_THROW(
      withGroup(task, [](StepExecutor&) { throw worker::CollectiveBroken("rank 1 left"); }),
      worker::CollectiveBroken);
}

TEST(StepMessage, keepsEveryField) {
  Step step{(uint64_t{7} << 32) + 3, {}};
  step.sequences.push_back({{1, 2, 3}, 40, {5, 6, 7}, WantedLogits::ALL});
  step.sequences.push_back({{9}, 0, {1}, WantedLogits::NONE});
  auto decoded = worker::decodeStep(worker::encodeStep(step));
  EXPECT_EQ(decoded.number, step.number);
  ASSERT_EQ(decoded.sequences.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(decoded.sequences[i].tokens, step.sequences[i].tokens);
    EXPECT_EQ(decoded.sequences[i].firstPosition, step.sequences[i].firstPosition);
    EXPECT_EQ(decoded.sequences[i].blocks, step.sequences[i].blocks);
    EXPECT_EQ(decoded.sequences[i].wanted, step.sequences[i].wanted);
  }
}

TEST(StepMessage, refusesEveryTruncation) {
  Step step{1, {{{1, 2, 3}, 0, {5}, WantedLogits::LAST}}};
  auto words = worker::encodeStep(step);
  for (size_t length = 0; length < words.size(); ++length) {
    EXPECT_THROW(worker::decodeStep(std::span(words).first(length)), kj::Exception) << length;
  }
  words.push_back(0);
  EXPECT_THROW(worker::decodeStep(words), kj::Exception);
}

}  // namespace
}  // namespace muster::testing::steps_test

// The engine against an independent reference, for every way of cutting a model.
#include "tests/support/logit_checks.h"
#include "tests/support/native_group.h"
#include "worker/engine/native/cpu_backend.h"

#include <gtest/gtest.h>

namespace muster::testing::logits_test {
namespace {

class Logits : public ::testing::TestWithParam<std::string> {};

TEST_P(Logits, followTheReferenceForEveryCut) {
  for (Rounding rounding : allRoundings()) {
    const auto model = readTinyModel(GetParam(), rounding);
    for (uint32_t tensor : {1, 2, 4}) {
      for (uint32_t pipeline : {1, 2, 3}) {
        SCOPED_TRACE(toText(rounding) + " tp " + std::to_string(tensor) + " pp " +
                     std::to_string(pipeline));
        auto rows = promptLogits({model, planOf(model, tensor, pipeline)}, model.tokens);
        rounding == Rounding::F32 ? expectExact(rows, model.logits)
                                  : expectClose(rows, model.logits);
      }
    }
  }
}

TEST(ExpertLogits, followTheReferenceForEveryCut) {
  struct Case {
    uint32_t tensor, pipeline, expert;
  };
  for (Rounding rounding : allRoundings()) {
    const auto model = readTinyModel("mixtral", rounding);
    for (const Case& c :
         {Case{2, 1, 2}, Case{4, 1, 2}, Case{4, 1, 4}, Case{2, 3, 2}, Case{4, 2, 4}}) {
      auto plan = planOf(model, c.tensor, c.pipeline);
      plan.expert = c.expert;
      SCOPED_TRACE(toText(rounding) + " tp " + std::to_string(c.tensor) + " pp " +
                   std::to_string(c.pipeline) + " ep " + std::to_string(c.expert));
      auto rows = promptLogits({model, plan}, model.tokens);
      rounding == Rounding::F32 ? expectExact(rows, model.logits) : expectClose(rows, model.logits);
    }
  }
}

TEST_P(Logits, areEqualBitsForEqualCuts) {
  const auto model = readTinyModel(GetParam(), Rounding::BF16);
  const NativeGroupTask task{model, planOf(model, 2, 2)};
  EXPECT_EQ(promptLogits(task, model.tokens), promptLogits(task, model.tokens));
}

// All stages of a pipeline compute what one stage would.
TEST_P(Logits, areEqualBitsForAnyNumberOfStages) {
  const auto model = readTinyModel(GetParam(), Rounding::F32);
  const auto whole = promptLogits({model, planOf(model, 2, 1)}, model.tokens);
  EXPECT_EQ(promptLogits({model, planOf(model, 2, 3)}, model.tokens), whole);
}

TEST_P(Logits, followTheReferenceWithEveryInstructionSet) {
  for (Rounding rounding : allRoundings()) {
    const auto model = readTinyModel(GetParam(), rounding);
    for (const auto& instructions : worker::cpuInstructionSets()) {
      SCOPED_TRACE(toText(rounding) + " " + instructions);
      auto rows = promptLogits({model, planOf(model, 1, 1), instructions}, model.tokens);
      rounding == Rounding::F32 ? expectExact(rows, model.logits) : expectClose(rows, model.logits);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Of, Logits, ::testing::ValuesIn(tinyModelNames()), [](const auto& info) {
  std::string name = info.param;
  std::erase(name, '-');
  return name;
});

}  // namespace
}  // namespace muster::testing::logits_test

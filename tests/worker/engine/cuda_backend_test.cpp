// The GPU computes what the reference computes. Skips where there is no GPU.
#include "worker/engine/native/cuda_backend.h"

#include "tests/support/logit_checks.h"
#include "tests/support/native_group.h"

#include <gtest/gtest.h>

namespace muster::testing::cuda_backend_test {
namespace {

class CudaLogits : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto library = worker::CudaLibrary::load(MUSTER_BINARY_DIR "/libmuster_cuda.so");
    if (!library) GTEST_SKIP() << library.refusal().text;
    if ((*library)->gpus().empty()) GTEST_SKIP() << "this machine has no GPU";
    library_ = *library;
  }
  // All ranks on the first GPU; their sums go through host memory.
  NativeGroupTask taskFor(const TinyModel& model, uint32_t tensor, uint32_t pipeline) const {
    NativeGroupTask task{model, planOf(model, tensor, pipeline)};
    task.makeBackend = [library = library_] { return worker::makeCudaBackend(library, 0); };
    return task;
  }

 private:
  std::shared_ptr<const worker::CudaLibrary> library_;
};

TEST_P(CudaLogits, followTheReferenceForEveryCut) {
  for (Rounding rounding : allRoundings()) {
    const auto model = readTinyModel(GetParam(), rounding);
    for (uint32_t tensor : {1, 2}) {
      for (uint32_t pipeline : {1, 2}) {
        SCOPED_TRACE(toText(rounding) + " tp " + std::to_string(tensor) + " pp " +
                     std::to_string(pipeline));
        auto rows = promptLogits(taskFor(model, tensor, pipeline), model.tokens);
        rounding == Rounding::F32 ? expectExact(rows, model.logits)
                                  : expectClose(rows, model.logits);
      }
    }
  }
}

TEST_P(CudaLogits, areEqualBitsForEqualCuts) {
  const auto model = readTinyModel(GetParam(), Rounding::BF16);
  const auto task = taskFor(model, 2, 2);
  EXPECT_EQ(promptLogits(task, model.tokens), promptLogits(task, model.tokens));
}

INSTANTIATE_TEST_SUITE_P(Of, CudaLogits, ::testing::ValuesIn(tinyModelNames()),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace muster::testing::cuda_backend_test

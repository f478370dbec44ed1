// A rank computes on the device it was placed on, or says what is missing.
#include "worker/engine/native/open_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace muster::worker::open_backend_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

const std::string BUILT = MUSTER_BINARY_DIR "/libmuster_cuda.so";

TEST(OpenBackend, withoutAGpuItIsTheCpu) {
  auto backend = openBackend("", "/nowhere/libmuster_cuda.so");
  ASSERT_TRUE(backend.ok());
  EXPECT_THAT((*backend)->name(), StartsWith("cpu"));
  EXPECT_EQ((*backend)->direct(), nullptr);
}

void expectUnusable(const std::string& library, const std::string& why, const std::string& remedy) {
  auto backend = openBackend("GPU-a", library);
  ASSERT_FALSE(backend.ok());
  EXPECT_EQ(backend.refusal().code, RefusalCode::GPU_UNUSABLE);
  EXPECT_THAT(backend.refusal().text,
              AllOf(StartsWith("GPU-a cannot be used"), HasSubstr(why), HasSubstr(remedy)));
}

TEST(OpenBackend, namesTheLibraryThatIsNotThere) {
  expectUnusable(
      "/nowhere/libmuster_cuda.so", "there is no /nowhere/libmuster_cuda.so",
      "install the package muster-engine-cuda, put the libmuster_cuda.so of this version "
      "beside muster-rank");
}

TEST(OpenBackend, saysWhyTheLibraryCannotBeLoaded) {
  expectUnusable(MUSTER_SOURCE_DIR "/README.md", "cannot be loaded",
                 "install CUDA's cuBLAS and NCCL");
}

TEST(OpenBackend, aGpuThatCudaDoesNotSeeIsNotReplacedByAnother) {
  if (!std::filesystem::exists(BUILT)) GTEST_SKIP() << "built without a CUDA compiler";
  expectUnusable(BUILT, "CUDA sees ", "see whether nvidia-smi shows it");
}

}  // namespace
}  // namespace muster::worker::open_backend_test

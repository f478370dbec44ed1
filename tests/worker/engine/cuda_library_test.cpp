// libmuster_cuda.so is found, or its absence is said; machines without a GPU are no failure.
#include "worker/engine/native/cuda_library.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace muster::worker::cuda_library_test {
namespace {

const std::string BUILT = MUSTER_BINARY_DIR "/libmuster_cuda.so";

TEST(CudaLibrary, namesTheFileThatIsNotThere) {
  auto library = CudaLibrary::load("/nowhere/libmuster_cuda.so");
  ASSERT_FALSE(library);
  EXPECT_EQ(library.refusal().code, RefusalCode::NOT_FOUND);
  EXPECT_NE(library.refusal().text.find("/nowhere/libmuster_cuda.so"), std::string::npos);
}

TEST(CudaLibrary, isLookedForBesideTheProgramsAndWhereThePackagePutsIt) {
  EXPECT_EQ(gpuLibraryPlaces("/usr/bin"),
            (std::vector<std::string>{"/usr/bin/libmuster_cuda.so",
                                      "/usr/lib/muster/libmuster_cuda.so"}));
}

TEST(CudaLibrary, theFirstThatIsThereIsTaken) {
  EXPECT_EQ(*findGpuLibrary({"/nowhere/a", MUSTER_SOURCE_DIR "/README.md", MUSTER_SOURCE_DIR}),
            MUSTER_SOURCE_DIR "/README.md");
  auto none = findGpuLibrary({"/nowhere/a", "/nowhere/b"});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.refusal().code, RefusalCode::NOT_FOUND);
  EXPECT_EQ(none.refusal().text, "there is no /nowhere/a and no /nowhere/b");
}

TEST(CudaLibrary, refusesAFileThatIsNoLibrary) {
  auto library = CudaLibrary::load(MUSTER_SOURCE_DIR "/README.md");
  ASSERT_FALSE(library);
  EXPECT_EQ(library.refusal().code, RefusalCode::NOT_SUPPORTED_YET);
}

TEST(CudaLibrary, countsGpusWithoutFailingWhereThereAreNone) {
  if (!std::filesystem::exists(BUILT)) GTEST_SKIP() << "built without a CUDA compiler";
  auto library = CudaLibrary::load(BUILT);
  ASSERT_TRUE(library) << library.refusal().text;
  auto gpus = (*library)->gpus();
  EXPECT_EQ(gpus.size(), (*library)->functions().deviceCount());
  for (const auto& gpu : gpus) EXPECT_GT(gpu.totalBytes, 0u) << gpu.name;
}

TEST(CudaLibrary, saysWhyAGpuThatIsNotThereCannotBeOpened) {
  if (!std::filesystem::exists(BUILT)) GTEST_SKIP() << "built without a CUDA compiler";
  auto library = CudaLibrary::load(BUILT);
  ASSERT_TRUE(library) << library.refusal().text;
  const auto& functions = (*library)->functions();
  EXPECT_EQ(functions.open(functions.deviceCount() + 7), nullptr);
  EXPECT_STRNE(functions.lastError(), "");
}

}  // namespace
}  // namespace muster::worker::cuda_library_test

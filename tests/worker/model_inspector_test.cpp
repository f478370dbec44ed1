#include "worker/model_inspector.h"

#include "tests/worker/sample_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

namespace muster::worker::model_inspector_test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class ModelInspector : public testing::Test {
 protected:
  Result<ModelManifest> inspect() { return inspect(model_.source()); }
  Result<ModelManifest> inspect(const std::string& source) {
    return inspectModel(ModelRoots({model_.root.string()}), source, {"w1"});
  }
  void expectRefusal(RefusalCode code, const std::string& text) {
    auto manifest = inspect();
    ASSERT_FALSE(manifest.ok());
    EXPECT_EQ(toText(manifest.refusal().code), toText(code)) << manifest.refusal().text;
    EXPECT_THAT(manifest.refusal().text, HasSubstr(text));
  }
  SampleModel model_;
};

TEST_F(ModelInspector, namesEveryTensorAndFile) {
  auto manifest = inspect();
  ASSERT_TRUE(manifest.ok()) << manifest.refusal().text;
  EXPECT_EQ(manifest->source, model_.source());
  EXPECT_EQ(manifest->files.size(), 2u);
  EXPECT_EQ(manifest->tensors.size(), sample::tensorsOf(SampleModel::SHAPE).size());
  EXPECT_EQ(manifest->digest.size(), 32u);
  EXPECT_EQ(manifest->files[0].size.count, fs::file_size(model_.weights(1)));
}

TEST_F(ModelInspector, digestFollowsTheHeadersAndNotTheWeights) {
  std::string before = inspect()->digest;
  std::string bytes = SampleModel::read(model_.weights(1));
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  SampleModel::write(model_.weights(1), bytes);
  EXPECT_EQ(inspect()->digest, before);
  std::string config = SampleModel::read(model_.folder / "config.json");
  SampleModel::write(model_.folder / "config.json", config + " ");
  EXPECT_NE(inspect()->digest, before);
}

TEST_F(ModelInspector, refusesAFolderThatIsNotThere) {
  fs::remove_all(model_.folder);
  expectRefusal(RefusalCode::MODEL_NOT_FOUND, model_.folder.string());
}

TEST_F(ModelInspector, refusesAFolderWithoutConfig) {
  fs::remove(model_.folder / "config.json");
  expectRefusal(RefusalCode::MODEL_CONFIG_INVALID, "has no config.json");
}

TEST_F(ModelInspector, refusesAnUnknownArchitecture) {
  SampleModel::write(model_.folder / "config.json", R"({"architectures": ["MambaForCausalLM"]})");
  expectRefusal(RefusalCode::MODEL_ARCHITECTURE_UNKNOWN, "MambaForCausalLM");
}

TEST_F(ModelInspector, refusesATruncatedFile) {
  fs::resize_file(model_.weights(2), fs::file_size(model_.weights(2)) - 10);
  expectRefusal(RefusalCode::MODEL_FILE_CORRUPT, "model-00002-of-00002.safetensors");
}

TEST_F(ModelInspector, refusesAHeaderOverOneHundredMegabytes) {
  std::string bytes = SampleModel::read(model_.weights(1));
  bytes[4] = 1;  // the length becomes 4 GiB and more
  SampleModel::write(model_.weights(1), bytes);
  expectRefusal(RefusalCode::MODEL_FILE_CORRUPT, "header");
}

TEST_F(ModelInspector, refusesAnIndexThatNamesAMissingFile) {
  fs::remove(model_.weights(2));
  expectRefusal(RefusalCode::MODEL_FILE_CORRUPT, "model-00002-of-00002.safetensors");
}

TEST_F(ModelInspector, neverOpensAPickle) {
  fs::remove(model_.weights(1));
  fs::remove(model_.weights(2));
  fs::remove(model_.folder / "model.safetensors.index.json");
  // A named pipe: whoever opened it to read would hang, so the answer proves that nobody did.
  ASSERT_EQ(mkfifo((model_.folder / "pytorch_model.bin").c_str(), 0600), 0);
  expectRefusal(RefusalCode::MODEL_FORMAT_REFUSED, "pytorch_model.bin");
}

TEST_F(ModelInspector, refusesAFolderOutsideTheRoots) {
  auto outside =
      inspectModel(ModelRoots({(model_.root / "other").string()}), model_.source(), {"w1"});
  ASSERT_FALSE(outside.ok());
  EXPECT_EQ(outside.refusal().code, RefusalCode::MODEL_OUTSIDE_ROOTS);
}

TEST_F(ModelInspector, refusesDotsAndLinksThatLeaveTheRoots) {
  EXPECT_EQ(inspect("file:" + model_.folder.string() + "/../../").refusal().code,
            RefusalCode::MODEL_OUTSIDE_ROOTS);
  fs::create_directory_symlink("/etc", model_.root / "link");
  EXPECT_EQ(inspect("file:" + (model_.root / "link").string()).refusal().code,
            RefusalCode::MODEL_OUTSIDE_ROOTS);
  fs::remove(model_.weights(2));
  fs::create_symlink("/etc/passwd", model_.weights(2));
  expectRefusal(RefusalCode::MODEL_OUTSIDE_ROOTS, "/etc/passwd");
}

TEST_F(ModelInspector, followsLinksThatStayBelowTheRoots) {
  fs::create_directories(model_.root / "blobs");
  fs::rename(model_.weights(2), model_.root / "blobs" / "abc");
  fs::create_symlink("../blobs/abc", model_.weights(2));
  EXPECT_TRUE(inspect().ok());
}

TEST_F(ModelInspector, takesARootThatIsALinkItself) {
  fs::create_directory_symlink(model_.root, model_.root / "alias");
  auto manifest =
      inspectModel(ModelRoots({(model_.root / "alias").string()}), model_.source(), {"w1"});
  EXPECT_TRUE(manifest.ok());
}

TEST_F(ModelInspector, refusesOtherSchemes) {
  EXPECT_EQ(inspect("hf:Qwen/Qwen3-8B").refusal().code, RefusalCode::NOT_SUPPORTED_YET);
}

}  // namespace
}  // namespace muster::worker::model_inspector_test

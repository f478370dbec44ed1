#include "tools/make_model/weights.h"
#include "tools/make_model/writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <unistd.h>

namespace muster::sample::make_model_test {
namespace {

namespace fs = std::filesystem;

constexpr Llama SMALL = {.hidden = 64,
                         .layers = 3,
                         .heads = 4,
                         .kvHeads = 2,
                         .intermediate = 96,
                         .vocab = 500,
                         .dtype = Dtype::BF16};

class MakeModel : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "make_model_test.XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::string read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }

  fs::path folder_;
};

// A file as a reader sees it: the header, and where its data start.
struct ReadFile {
  nlohmann::json header;
  uint64_t dataStart = 0;
  std::string bytes;
};

ReadFile parse(std::string bytes) {
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof(length));
  ReadFile file;
  file.header = nlohmann::json::parse(bytes.substr(8, length));
  file.dataStart = 8 + length;
  file.bytes = std::move(bytes);
  return file;
}

TEST_F(MakeModel, filesHoldEveryTensorOnceWithoutGapsAndOfTheRightSize) {
  auto written = writeModel(folder_ / "m", SMALL, 2, 7);
  ASSERT_TRUE(written.ok());
  const auto index = nlohmann::json::parse(read(folder_ / "m/model.safetensors.index.json"));
  std::map<std::string, std::vector<uint64_t>> wanted;
  for (const Tensor& tensor : tensorsOf(SMALL)) wanted[tensor.name] = tensor.shape;

  uint64_t total = 0;
  std::set<std::string> seen;
  for (const char* name :
       {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}) {
    SCOPED_TRACE(name);
    const ReadFile file = parse(read(folder_ / "m" / name));
    EXPECT_EQ(file.dataStart % 8, 0u);
    std::map<uint64_t, uint64_t> ranges;
    for (const auto& [tensor, entry] : file.header.items()) {
      if (tensor == "__metadata__") continue;
      EXPECT_TRUE(seen.insert(tensor).second) << tensor;
      EXPECT_EQ(index["weight_map"][tensor], name);
      EXPECT_EQ(entry["dtype"], "BF16");
      EXPECT_EQ(entry["shape"].get<std::vector<uint64_t>>(), wanted.at(tensor));
      uint64_t bytes = 2;
      for (uint64_t size : wanted.at(tensor)) bytes *= size;
      const uint64_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
      EXPECT_EQ(end - begin, bytes) << tensor;
      ranges[begin] = end;
    }
    uint64_t position = 0;
    for (const auto& [begin, end] : ranges) {
      EXPECT_EQ(begin, position);
      position = end;
    }
    EXPECT_EQ(file.bytes.size(), file.dataStart + position);
    total += position;
  }
  EXPECT_EQ(seen.size(), wanted.size());
  EXPECT_EQ(index["metadata"]["total_size"], total);
  EXPECT_EQ(written->bytes, total);
}

TEST_F(MakeModel, sameSeedGivesTheSameBytesAndAnotherSeedOthers) {
  for (auto [name, seed] : {std::pair("a", 1), {"b", 1}, {"c", 2}}) {
    ASSERT_TRUE(writeModel(folder_ / name, SMALL, 2, seed).ok());
  }
  for (const auto& entry : fs::directory_iterator(folder_ / "a")) {
    EXPECT_EQ(read(entry.path()), read(folder_ / "b" / entry.path().filename()));
  }
  EXPECT_NE(read(folder_ / "a/model-00001-of-00002.safetensors"),
            read(folder_ / "c/model-00001-of-00002.safetensors"));
}

TEST_F(MakeModel, theCutIntoFilesDoesNotChangeTheWeights) {
  ASSERT_TRUE(writeModel(folder_ / "one", SMALL, 1, 1).ok());
  ASSERT_TRUE(writeModel(folder_ / "three", SMALL, 3, 1).ok());
  const ReadFile one = parse(read(folder_ / "one/model-00001-of-00001.safetensors"));
  std::string joined;
  for (int file = 1; file <= 3; ++file) {
    const ReadFile part = parse(
        read(folder_ / "three" / ("model-0000" + std::to_string(file) + "-of-00003.safetensors")));
    joined += part.bytes.substr(part.dataStart);
  }
  EXPECT_EQ(one.bytes.substr(one.dataStart), joined);
}

TEST_F(MakeModel, aDirectoryThatHoldsSomethingIsLeftAlone) {
  fs::create_directory(folder_ / "m");
  std::ofstream(folder_ / "m/mine") << "x";
  auto refused = writeModel(folder_ / "m", SMALL, 2, 1);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.refusal().text, testing::HasSubstr("exists already"));
  EXPECT_EQ(read(folder_ / "m/mine"), "x");
}

TEST(Llama, defaultIsAboutHundredMillionParameters) {
  uint64_t parameters = 0;
  for (const Tensor& tensor : tensorsOf(Llama{})) parameters += tensor.elements();
  EXPECT_GT(parameters, 95'000'000u);
  EXPECT_LT(parameters, 105'000'000u);
}

TEST(Llama, impossibleShapesAreRefused) {
  const Llama cases[] = {
      {.layers = 0}, {.heads = 7, .kvHeads = 7}, {.kvHeads = 5}, {.heads = 768, .kvHeads = 1}};
  for (const Llama& llama : cases) EXPECT_FALSE(check(llama).ok());
  EXPECT_TRUE(check(Llama{}).ok());
}

TEST(CutIntoFiles, coversTheListInOrderWithoutEmptyFiles) {
  const auto tensors = tensorsOf(SMALL);
  for (uint32_t files = 1; files <= tensors.size(); ++files) {
    auto plans = cutIntoFiles(tensors, files);
    ASSERT_TRUE(plans.ok());
    ASSERT_EQ(plans->size(), files);
    size_t next = 0;
    for (const FilePlan& plan : *plans) {
      EXPECT_EQ(plan.firstTensor, next);
      EXPECT_FALSE(plan.tensors.empty());
      next += plan.tensors.size();
    }
    EXPECT_EQ(next, tensors.size());
  }
  EXPECT_FALSE(cutIntoFiles(tensors, 0).ok());
  EXPECT_FALSE(cutIntoFiles(tensors, static_cast<uint32_t>(tensors.size()) + 1).ok());
}

TEST(Weights, bitsAreRoundedToNearestEven) {
  EXPECT_EQ(toBfloat16(1.0f), 0x3f80);
  EXPECT_EQ(toBfloat16(-2.5f), 0xc020);
  EXPECT_EQ(toBfloat16(1.0f + 0x1p-8f), 0x3f80);      // tie, down to even
  EXPECT_EQ(toBfloat16(1.0f + 3 * 0x1p-8f), 0x3f82);  // tie, up to even
  EXPECT_EQ(toHalf(1.0f), 0x3c00);
  EXPECT_EQ(toHalf(-2.5f), 0xc100);
  EXPECT_EQ(toHalf(0x1p-24f), 0x0001);  // the smallest subnormal
  EXPECT_EQ(toHalf(0x1p-14f), 0x0400);
  EXPECT_EQ(toHalf(1.0f + 0x1p-11f), 0x3c00);
  EXPECT_EQ(toHalf(1.0f + 3 * 0x1p-11f), 0x3c02);
}

TEST(Weights, areNormalWithTheAskedScale) {
  std::vector<float> values(200'001);
  SeededRandom random(3);
  fillNormal(std::as_writable_bytes(std::span(values)), Dtype::F32, 0.25, random);
  double sum = 0, squares = 0, beyondTwo = 0;
  for (float value : values) {
    sum += value;
    squares += static_cast<double>(value) * value;
    beyondTwo += std::abs(value) > 0.5 ? 1 : 0;
  }
  const auto count = static_cast<double>(values.size());
  EXPECT_NEAR(sum / count, 0, 0.003);
  EXPECT_NEAR(std::sqrt(squares / count), 0.25, 0.002);
  EXPECT_NEAR(beyondTwo / count, 0.0455, 0.002);  // two standard deviations
}

TEST(Weights, ofNormsAreOne) {
  std::vector<float> values(9);
  SeededRandom random(3);
  fillNormal(std::as_writable_bytes(std::span(values)), Dtype::F32, 0, random);
  EXPECT_THAT(values, testing::Each(1.0f));
}

}  // namespace
}  // namespace muster::sample::make_model_test

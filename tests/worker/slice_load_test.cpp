#include "worker/engine/native/slice_load.h"

#include "base/event_loop.h"
#include "sharding/model_spec.h"
#include "tests/worker/sample_model.h"
#include "worker/model_inspector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <cstring>
#include <map>

namespace muster::worker::slice_load_test {
namespace {

class SliceLoadTest : public testing::Test {
 protected:
  ~SliceLoadTest() noexcept override {}  // as gtest's own: an event loop's may throw
  SliceLoadTest() : roots_({model_.root.string()}) {
    manifest_ = *inspectModel(roots_, model_.source(), {"w1"});
    spec_ = *sharding::readModelSpec(manifest_.configJson, manifest_.tensors);
  }

  sharding::RankShard shard(uint32_t tensor, uint32_t pipeline, uint32_t rank) {
    ShardPlan plan{.tensor = tensor,
                   .pipeline = pipeline,
                   .stageFirstLayer = sharding::balancedStages(spec_.layers, pipeline)};
    return *sharding::cutRank(spec_, manifest_.tensors, plan, rank);
  }

  std::vector<SliceFile> files() {
    auto folder = roots_.openModel(model_.source());
    std::vector<SliceFile> files;
    for (const auto& file : manifest_.files) {
      auto opened = roots_.openFile(*folder, file.name);
      files.push_back({file.name, std::move(*opened)});
    }
    return files;
  }

  Result<std::vector<LoadedSlice>> load(std::vector<sharding::Slice> slices) {
    SliceLoad load(files(), std::move(slices), 2);
    auto loaded = load.loaded().wait(loop_.waitScope());
    bytesRead_ = load.loadedBytes();
    return loaded;
  }

  // The box of a tensor, cut out of the whole file one element at a time: slow and independent.
  std::string expected(const sharding::Slice& slice) {
    auto tensor = std::find_if(manifest_.tensors.begin(), manifest_.tensors.end(),
                               [&](const TensorInfo& one) { return one.name == slice.tensor; });
    auto& file = contents_[slice.file];
    if (file.empty()) file = SampleModel::read(model_.folder / slice.file);
    uint64_t width = bytesPerElement(tensor->dtype);
    uint64_t columns = tensor->shape.size() == 2 ? tensor->shape[1] : 1;
    auto row = slice.ranges[0];
    auto column = tensor->shape.size() == 2 ? slice.ranges[1] : std::pair<uint64_t, uint64_t>{0, 1};
    std::string out;
    for (uint64_t r = row.first; r < row.second; ++r) {
      for (uint64_t c = column.first; c < column.second; ++c) {
        out += file.substr(tensor->offset + (r * columns + c) * width, width);
      }
    }
    return out;
  }

  SampleModel model_;
  ModelRoots roots_;
  ModelManifest manifest_;
  sharding::ModelSpec spec_;
  EventLoop loop_;
  uint64_t bytesRead_ = 0;
  std::map<std::string, std::string> contents_;
};

TEST_F(SliceLoadTest, everyRankGetsExactlyTheBytesOfItsBoxes) {
  for (uint32_t rank = 0; rank < 4; ++rank) {
    SCOPED_TRACE(rank);
    auto mine = shard(2, 2, rank);
    auto loaded = load(mine.slices);
    ASSERT_TRUE(loaded.ok()) << loaded.refusal().text;
    ASSERT_EQ(loaded->size(), mine.slices.size());
    for (const auto& one : *loaded) {
      std::string wanted = expected(one.slice);
      ASSERT_EQ(one.bytes.size(), wanted.size()) << one.slice.tensor;
      EXPECT_EQ(std::memcmp(one.bytes.data(), wanted.data(), wanted.size()), 0) << one.slice.tensor;
      EXPECT_EQ(one.checksum, XXH3_64bits(wanted.data(), wanted.size())) << one.slice.tensor;
    }
    EXPECT_EQ(bytesRead_, mine.bytes.count);
  }
}

TEST_F(SliceLoadTest, aFlippedByteChangesTheChecksumOfItsSliceAlone) {
  auto mine = shard(1, 1, 0);
  auto before = load(mine.slices);
  const auto& victim = mine.slices[3];
  std::string bytes = SampleModel::read(model_.folder / victim.file);
  bytes[victim.offset + 1] = static_cast<char>(bytes[victim.offset + 1] ^ 0x40);
  SampleModel::write(model_.folder / victim.file, bytes);
  auto after = load(mine.slices);
  for (size_t i = 0; i < mine.slices.size(); ++i) {
    EXPECT_EQ((*before)[i].checksum != (*after)[i].checksum, i == 3) << mine.slices[i].tensor;
  }
}

TEST_F(SliceLoadTest, aFileThatEndsEarlyIsNamed) {
  auto mine = shard(1, 1, 0);
  auto opened = files();
  std::filesystem::resize_file(model_.weights(2), 4096);
  SliceLoad load(std::move(opened), mine.slices, 2);
  auto loaded = load.loaded().wait(loop_.waitScope());
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.refusal().code, RefusalCode::WEIGHTS_CORRUPT);
  EXPECT_THAT(loaded.refusal().text, testing::HasSubstr("model-00002-of-00002.safetensors"));
  EXPECT_THAT(loaded.refusal().text, testing::HasSubstr("the file ends there"));
}

TEST_F(SliceLoadTest, memoryLiesOnABoundary) {
  auto loaded = load(shard(2, 1, 1).slices);
  for (const auto& one : *loaded) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(one.bytes.data()) % 64, 0u);
  }
}

TEST_F(SliceLoadTest, destroyingALoadStopsIt) {
  auto load = kj::heap<SliceLoad>(files(), shard(1, 1, 0).slices, 2);
  auto never = load->loaded();
  load = nullptr;  // joins its threads
}

}  // namespace
}  // namespace muster::worker::slice_load_test

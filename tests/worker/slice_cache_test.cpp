// Slices that are kept for the next rank: the same bytes or none, and never too many.
#include "worker/engine/native/slice_cache.h"

#include "tests/base/temporary_folder.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

namespace muster::worker::slice_cache_test {
namespace {

namespace fs = std::filesystem;

sharding::Slice sliceAt(uint64_t offset, uint64_t bytes = 1000) {
  return {.tensor = "t" + std::to_string(offset),
          .file = "model.safetensors",
          .offset = offset,
          .bytes = bytes,
          .rows = 1,
          .rowBytes = bytes,
          .stride = bytes};
}

LoadedSlice loaded(uint64_t offset, char content, uint64_t bytes = 1000) {
  LoadedSlice slice{sliceAt(offset, bytes), AlignedBytes(bytes), 0};
  std::memset(slice.bytes.data(), content, bytes);
  slice.checksum = XXH3_64bits(slice.bytes.data(), bytes);
  return slice;
}

class SliceCacheTest : public testing::Test {
 protected:
  SliceCache cache(Bytes most = 1_MiB) { return SliceCache(folder(), most); }
  std::string folder() const { return temporary_.path() + "/cache"; }
  // The first byte of what is found; 0: nothing is.
  char find(const SliceCache& cache, uint64_t offset, const std::string& digest = "d") {
    LoadedSlice wanted{sliceAt(offset), AlignedBytes(), 0};
    if (!cache.find(digest, wanted)) return 0;
    EXPECT_EQ(wanted.bytes.size(), 1000u);
    EXPECT_EQ(wanted.checksum, XXH3_64bits(wanted.bytes.data(), wanted.bytes.size()));
    return static_cast<char>(wanted.bytes.data()[0]);
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder())) {
      if (entry.path().filename() != "lock") found.push_back(entry.path());
    }
    return found;
  }

  TemporaryFolder temporary_;
};

TEST_F(SliceCacheTest, whatWasKeptIsFoundByTheNextOne) {
  cache().keep("d", loaded(0, 'a'));
  cache().keep("d", loaded(1000, 'b'));
  EXPECT_EQ(find(cache(), 0), 'a');
  EXPECT_EQ(find(cache(), 1000), 'b');
  EXPECT_EQ(fs::status(folder()).permissions(), fs::perms::owner_all) << "closed to others";
}

TEST_F(SliceCacheTest, anotherSliceOrModelIsNotTaken) {
  cache().keep("d", loaded(0, 'a'));
  EXPECT_EQ(find(cache(), 8), 0);
  EXPECT_EQ(find(cache(), 0, "e"), 0);
  LoadedSlice cut{sliceAt(0), AlignedBytes(), 0};
  cut.slice.rows = 2;
  cut.slice.rowBytes = 500;
  EXPECT_FALSE(cache().find("d", cut));
}

TEST_F(SliceCacheTest, aByteThatHasChangedIsFoundOutAndTheSliceIsGone) {
  cache().keep("d", loaded(0, 'a'));
  std::fstream file(files().at(0), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(500).put('x');
  file.close();
  EXPECT_EQ(find(cache(), 0), 0);
  EXPECT_TRUE(files().empty());
}

TEST_F(SliceCacheTest, aFileThatEndsEarlyIsNoSlice) {
  cache().keep("d", loaded(0, 'a'));
  fs::resize_file(files().at(0), 700);
  EXPECT_EQ(find(cache(), 0), 0);
  EXPECT_TRUE(files().empty());
}

TEST_F(SliceCacheTest, forRoomThoseGoThatWereUsedLongestAgo) {
  auto small = cache({3 * 1008});
  for (uint64_t i = 0; i < 3; ++i) {
    small.keep("d", loaded(i, static_cast<char>('a' + i)));
    auto file = files();
    for (const auto& one : file) {  // an hour passes
      fs::last_write_time(one, fs::last_write_time(one) - std::chrono::hours(1));
    }
  }
  EXPECT_EQ(find(small, 0), 'a');  // used just now
  small.keep("d", loaded(3, 'd'));
  EXPECT_EQ(find(small, 0), 'a');
  EXPECT_EQ(find(small, 1), 0);
  EXPECT_EQ(find(small, 2), 'c');
  EXPECT_EQ(find(small, 3), 'd');
}

TEST_F(SliceCacheTest, whatHasNoRoomIsNotKept) {
  auto small = cache({2000});
  small.keep("d", loaded(0, 'a'));
  small.keep("d", loaded(1, 'b', 5000));
  EXPECT_EQ(find(small, 0), 'a') << "nothing went for what could not be kept";
  EXPECT_EQ(files().size(), 1u);
}

TEST_F(SliceCacheTest, aFolderThatCannotBeMadeKeepsNothing) {
  SliceCache nowhere("/proc/no/such", 1_MiB);
  nowhere.keep("d", loaded(0, 'a'));
  EXPECT_EQ(find(nowhere, 0), 0);
}

TEST_F(SliceCacheTest, aLinkInItsPlaceKeepsNothing) {
  fs::create_directory(temporary_.path() + "/elsewhere");
  fs::create_symlink(temporary_.path() + "/elsewhere", folder());
  cache().keep("d", loaded(0, 'a'));
  EXPECT_TRUE(fs::is_empty(temporary_.path() + "/elsewhere"));
  EXPECT_EQ(find(cache(), 0), 0);
}

TEST_F(SliceCacheTest, manyRanksStayBelowTheLimitTogether) {
  constexpr uint64_t ROOM = 5;
  std::vector<std::thread> ranks;
  for (uint64_t rank = 0; rank < 4; ++rank) {
    ranks.emplace_back([this, rank] {
      auto own = cache({ROOM * 1008});
      for (uint64_t i = 0; i < 20; ++i) own.keep("d", loaded(rank * 100 + i, 'x'));
    });
  }
  for (auto& rank : ranks) rank.join();
  EXPECT_EQ(files().size(), ROOM);
}

}  // namespace
}  // namespace muster::worker::slice_cache_test

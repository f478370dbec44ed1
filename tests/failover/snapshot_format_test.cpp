#include "failover/snapshot_format.h"

#include "protocol/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <kj/exception.h>

#include <functional>

namespace muster::failover::snapshot_format_test {
namespace {

SnapshotManifest manifest() {
  SnapshotManifest manifest;
  manifest.cluster = {"test"};
  manifest.history = {3, {4, 5}};
  manifest.position = {{17}, {170}, {6, 7}, {8}, {9'000}};
  manifest.stateHash = {10, 11};
  manifest.records = 12;
  manifest.chunks = 13;
  manifest.bytes = 14_KiB;
  manifest.chunksHash = {15, 16};
  manifest.writer = {"co2"};
  manifest.written = {1'700'000'000'000};
  return manifest;
}

std::string failureOf(const std::function<void()>& action) {
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] { action(); })) {
    return exception->getDescription().cStr();
  }
  return "no failure";
}

TEST(SnapshotFormat, givesBackWhatWasWritten) {
  EXPECT_EQ(decodeManifest(encodeManifest(manifest())), manifest());
  EXPECT_EQ(decodeChunk(encodeChunk({170}, 3, "payload"), {170}, 3), "payload");
  EXPECT_EQ(decodeChunk(encodeChunk({170}, 0, ""), {170}, 0), "");
}

TEST(SnapshotFormat, refusesEveryFlippedBitOfAChunk) {
  ByteString chunk = encodeChunk({170}, 3, "some records");
  for (size_t i = 0; i < chunk.size(); i++) {
    for (int bit = 0; bit < 8; bit++) {
      ByteString damaged = chunk;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      EXPECT_THAT(failureOf([&] { decodeChunk(damaged, {170}, 3); }),
                  testing::HasSubstr("SNAPSHOT_DAMAGED"))
          << "byte " << i << " bit " << bit;
    }
  }
}

TEST(SnapshotFormat, refusesACutOffOrForeignChunk) {
  ByteString chunk = encodeChunk({170}, 3, "some records");
  const std::pair<const char*, std::function<void()>> CASES[] = {
      {"nothing", [&] { decodeChunk("", {170}, 3); }},
      {"half of it", [&] { decodeChunk(chunk.substr(0, chunk.size() / 2), {170}, 3); }},
      {"another number", [&] { decodeChunk(chunk, {170}, 4); }},
      {"another snapshot", [&] { decodeChunk(chunk, {171}, 3); }},
      {"a manifest cut off", [&] { decodeManifest(encodeManifest(manifest()).substr(0, 40)); }},
  };
  for (const auto& [name, action] : CASES) {
    EXPECT_THAT(failureOf(action), testing::HasSubstr("SNAPSHOT_DAMAGED")) << name;
  }
}

TEST(SnapshotFormat, tellsTheOrderOfChunks) {
  Guid ab = chunksHashAfter(chunksHashAfter({}, "a"), "b");
  Guid ba = chunksHashAfter(chunksHashAfter({}, "b"), "a");
  EXPECT_NE(ab, ba);
  EXPECT_NE(ab, chunksHashAfter({}, "ab"));
}

}  // namespace
}  // namespace muster::failover::snapshot_format_test

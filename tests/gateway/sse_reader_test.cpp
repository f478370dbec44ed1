// Server-sent events, however the bytes are cut.
#include "gateway/sse_reader.h"

#include "base/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::gateway::sse_reader_test {
namespace {

using ::testing::ElementsAre;

std::vector<SseEvent> read(std::string_view bytes) {
  SseReader reader;
  std::vector<SseEvent> events;
  EXPECT_TRUE(reader.feed(bytes, events));
  return events;
}

TEST(SseReader, readsEvents) {
  EXPECT_THAT(read("id: 7\nevent: change\ndata: {}\n\n"),
              ElementsAre(SseEvent{"7", "change", "{}"}));
  EXPECT_THAT(read("data:a\ndata: b\n\n"), ElementsAre(SseEvent{"", "message", "a\nb"}));
  EXPECT_THAT(read("id: 1\r\ndata: a\r\n\r\ndata: b\r\n\r\n"),
              ElementsAre(SseEvent{"1", "message", "a"}, SseEvent{"1", "message", "b"}));
}

TEST(SseReader, passesOverCommentsAndWhatIsNotWhole) {
  EXPECT_TRUE(read(": heartbeat\n\n").empty());
  EXPECT_TRUE(read("event: x\n\n").empty());
  EXPECT_TRUE(read("data: a\n").empty());
  EXPECT_THAT(read("retry: 5\nother\ndata\n\n"), ElementsAre(SseEvent{"", "message", ""}));
}

TEST(SseReader, readsTheSameHoweverTheBytesAreCut) {
  const std::string STREAM =
      ": hello\n\nid: 1\nevent: snapshot\ndata: {\"a\":1}\n\nid: 2\r\ndata: x\r\ndata: y\r\n\r\n: "
      "c\n\n";
  auto whole = read(STREAM);
  ASSERT_EQ(whole.size(), 2u);
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRandom random(seed);
    SseReader reader;
    std::vector<SseEvent> events;
    for (size_t at = 0; at < STREAM.size();) {
      size_t length = 1 + random.below(7);
      ASSERT_TRUE(reader.feed(std::string_view(STREAM).substr(at, length), events));
      at += length;
    }
    EXPECT_EQ(events, whole);
  }
}

}  // namespace
}  // namespace muster::gateway::sse_reader_test

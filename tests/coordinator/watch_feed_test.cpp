// What one watcher is sent: where it begins, what comes while nothing changes, and what becomes of
// it when it is slow or has missed much.
#include "coordinator/watch_feed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <kj/async.h>
#include <kj/timer.h>

#include <memory>
#include <optional>
#include <string>

namespace muster::coordinator::watch_feed_test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const HistoryId HISTORY{3, {0x11, 0x22}};
constexpr uint64_t FIRST = 10;  // log index

class WatchFeedTest : public ::testing::Test {
 protected:
  ~WatchFeedTest() noexcept override {}

  // At each index the one route has another object.
  void publish(uint64_t index, HistoryId history = HISTORY) {
    feed.publish({history, {index}}, {1}, {{{"route", "a/b/0"}, std::to_string(index)}});
  }
  std::shared_ptr<HttpBodyStream> watch(std::optional<uint64_t> after = std::nullopt) {
    std::optional<WatchPosition> from;
    if (after) from = WatchPosition{HISTORY, {*after}};
    return feed.watch({"route"}, from);
  }
  std::optional<std::string> next(HttpBodyStream& stream) { return stream.next().wait(scope); }

  kj::EventLoop loop;
  kj::WaitScope scope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  WatchFeed feed{timer};
};

TEST_F(WatchFeedTest, beginsOnceThereIsSomethingToTell) {
  auto stream = watch();
  auto first = stream->next();
  EXPECT_FALSE(first.poll(scope));
  publish(FIRST);
  EXPECT_THAT(*first.wait(scope), HasSubstr("event: snapshot\n"));
}

TEST_F(WatchFeedTest, sendsACommentWhenNothingHappensForAQuarterOfAMinute) {
  publish(FIRST);
  auto stream = watch();
  next(*stream);
  for (int i = 0; i < 2; ++i) {
    auto quiet = stream->next();
    timer.advanceTo(timer.now() + 14 * kj::SECONDS);
    EXPECT_FALSE(quiet.poll(scope));
    timer.advanceTo(timer.now() + 1 * kj::SECONDS);
    ASSERT_TRUE(quiet.poll(scope));
    EXPECT_EQ(*quiet.wait(scope), ": heartbeat\n\n");
  }
  publish(FIRST + 1);
  EXPECT_THAT(*next(*stream), HasSubstr("event: change\n"));
}

TEST_F(WatchFeedTest, goesOnBehindTheLastEventThatAWatcherHasSeen) {
  for (uint64_t index = FIRST; index < FIRST + 3; ++index) publish(index);
  auto stream = watch(FIRST + 1);
  EXPECT_THAT(*next(*stream), StartsWith(": resumed at 3-"));
  EXPECT_THAT(*next(*stream), HasSubstr("/12\nevent: change\n"));
  EXPECT_FALSE(stream->next().poll(scope));
}

TEST_F(WatchFeedTest, cutsASlowWatcherOffWhichThenResumesWithoutALoss) {
  publish(FIRST);
  auto slow = watch();
  auto quick = watch();
  next(*slow);
  next(*quick);
  for (uint64_t i = 1; i <= WatchFeed::PENDING_MAX + 1; ++i) {
    publish(FIRST + i);
    EXPECT_THAT(*next(*quick), HasSubstr("event: change\n"));
  }
  EXPECT_EQ(next(*slow), std::nullopt);
  EXPECT_EQ(next(*slow), std::nullopt);

  auto again = watch(FIRST + 2);
  EXPECT_THAT(*next(*again), StartsWith(": resumed at"));
  EXPECT_THAT(*next(*again), HasSubstr("/13\nevent: change\n"));
}

TEST_F(WatchFeedTest, whoHasMissedTooMuchGetsASnapshotAndIsNotCutOff) {
  for (uint64_t i = 0; i <= WatchFeed::PENDING_MAX; ++i) publish(FIRST + i);
  auto stream = watch(FIRST);
  EXPECT_THAT(*next(*stream), HasSubstr("event: snapshot\n"));
  publish(FIRST + 1000);
  EXPECT_THAT(*next(*stream), HasSubstr("/1010\nevent: change\n"));
}

TEST_F(WatchFeedTest, aNewHistoryGivesEverybodyASnapshot) {
  publish(FIRST);
  auto stream = watch(FIRST);
  EXPECT_THAT(*next(*stream), StartsWith(": resumed at"));
  publish(4, {4, {0x33, 0x44}});
  EXPECT_THAT(*next(*stream), HasSubstr("event: snapshot\n"));
}

}  // namespace
}  // namespace muster::coordinator::watch_feed_test

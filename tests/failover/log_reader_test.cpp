// Tailing the log and proving it, over a real server whose log a test spoils by hand.
#include "failover/log_reader.h"

#include "failover/records.h"
#include "tests/failover/coordinators.h"

#include <gmock/gmock.h>

namespace muster::failover::log_reader_test {
namespace {

using ::testing::HasSubstr;

class LogReaderTest : public Coordinators<ZkTest> {
 protected:
  LogReaderTest() : history(bootstrapTree()), session(connect(options(4_s))) {}
  ~LogReaderTest() noexcept override {}

  // The next batch as a leader of `epoch` would write it.
  ByteString next(const std::string& command, Epoch epoch = Epoch{1}) {
    Batch batch{};
    batch.history = history;
    batch.epoch = epoch;
    batch.number = end.batch.next();
    batch.firstIndex = end.index.next();
    batch.id = random.guid();
    batch.previousChain = end.chain;
    batch.commands = {command};
    ByteString bytes = encodeBatch(batch);
    end = positionAfter(batch, bytes);
    return bytes;
  }
  void write(const std::string& command) {
    BatchNumber number = end.batch.next();
    put(number, next(command));
  }
  void put(BatchNumber number, const ByteString& bytes) {
    EXPECT_EQ(create(*session, paths.batch(number), bytes), ZkCode::OK);
  }
  kj::Own<LogReader> reader() {
    return kj::heap<LogReader>(*session, paths, history, LogPosition{});
  }
  std::string readAll(LogReader& reader) {
    return describeFailure([&] {
      while (patience.await(reader.next()) != nullptr) {
      }
    });
  }

  HistoryId history;
  kj::Own<CoordinationSession> session;
  LogPosition end{};
};

TEST_F(LogReaderTest, aLongLogIsReadInOrderAndTheEndIsFound) {
  for (int i = 0; i < 200; i++) write(std::to_string(i));
  auto log = reader();
  for (int i = 0; i < 200; i++) {
    auto read = KJ_ASSERT_NONNULL(patience.await(log->next()));
    ASSERT_EQ(read.batch.commands.at(0), std::to_string(i));
    ASSERT_EQ(read.position.index.value, static_cast<uint64_t>(i) + 1);
  }
  EXPECT_EQ(patience.await(log->next()), nullptr);
  EXPECT_EQ(log->position(), end);
  EXPECT_TRUE(patience.await(log->proveEnd()));
}

// What was asked for ahead of time and was not there yet must not pass for the end.
TEST_F(LogReaderTest, theEndIsJudgedByAReadOfNow) {
  for (int i = 0; i < 5; i++) write("old");
  auto log = reader();
  for (int i = 0; i < 5; i++) (void)patience.await(log->next());  // has asked for the sixth already
  write("new");
  auto read = patience.await(log->next());
  ASSERT_NE(read, nullptr);
  EXPECT_EQ(KJ_ASSERT_NONNULL(read).batch.commands.at(0), "new");
}

TEST_F(LogReaderTest, aStandbyFollowsByWatches) {
  auto log = reader();
  for (int i = 0; i < 20; i++) {
    auto waiting = log->waitNext(loop.timer());
    write(std::to_string(i));
    EXPECT_EQ(patience.await(kj::mv(waiting)).batch.commands.at(0), std::to_string(i));
  }
  EXPECT_LE(session->health().watches, 1u);  // each is used up
}

TEST_F(LogReaderTest, aHoleIsFoundAndNeverSkipped) {
  write("one");
  ByteString lost = next("two");
  write("three");
  auto log = reader();
  EXPECT_NE(patience.await(log->next()), nullptr);
  EXPECT_EQ(patience.await(log->next()), nullptr);
  EXPECT_THAT(describeFailure([&] { patience.await(log->proveEnd()); }), HasSubstr("HOLE"));
  put(BatchNumber{2}, lost);
  EXPECT_FALSE(patience.await(log->proveEnd()));  // there is more to read
  EXPECT_EQ(readAll(*log), "no failure");
}

TEST_F(LogReaderTest, bytesThatAreNoBatchAreCorrupt) {
  put(BatchNumber{1}, "no batch at all!");
  EXPECT_THAT(readAll(*reader()), HasSubstr("CORRUPT"));
}

TEST_F(LogReaderTest, anotherPastBreaksTheChain) {
  write("one");
  end.chain = Guid{1, 1};
  write("two");
  EXPECT_THAT(readAll(*reader()), HasSubstr("CHAIN_BROKEN"));
}

TEST_F(LogReaderTest, anOlderEpochAfterANewerOneIsAFault) {
  put(BatchNumber{1}, next("one", Epoch{5}));
  put(BatchNumber{2}, next("two", Epoch{4}));
  EXPECT_THAT(readAll(*reader()), HasSubstr("EPOCH_WENT_DOWN"));
}

TEST_F(LogReaderTest, aBatchOfAnotherHistoryIsAFault) {
  history.guid = Guid{8, 8};
  ByteString foreign = next("one");
  history = KJ_ASSERT_NONNULL(patience.await(readEpoch(*session, paths))).history;
  put(BatchNumber{1}, foreign);
  EXPECT_THAT(readAll(*reader()), HasSubstr("HISTORY_DIFFERS"));
}

// ZooKeeper lost what it had acknowledged.
TEST_F(LogReaderTest, aPositionThatIsGoneIsALostSuffix) {
  write("one");
  write("two");
  auto log = reader();
  EXPECT_EQ(readAll(*log), "no failure");
  patience.await(log->verifyPosition());
  patience.await(session->multi({removeOp(paths.batch(BatchNumber{2}))}));
  EXPECT_THAT(describeFailure([&] { patience.await(log->verifyPosition()); }),
              HasSubstr("LOST_SUFFIX"));
  end = LogPosition{BatchNumber{1}, LogIndex{1}, random.guid(), Epoch{1}, Instant{}};
  write("another two");
  EXPECT_THAT(describeFailure([&] { patience.await(log->verifyPosition()); }),
              HasSubstr("LOST_SUFFIX"));
}

// ---- a new leader, whose reads were sent right behind its takeover

class EndReadsTest : public LogReaderTest {
 protected:
  EndReadsTest() : lossy(connect(options(4_s))) {
    write("one");
    patience.await(lossy.get(paths.epoch()));
  }
  ~EndReadsTest() noexcept override {}

  kj::Own<LogReader> readerAtEnd() { return kj::heap<LogReader>(lossy, paths, history, end); }

  LossySession lossy;
};

TEST_F(EndReadsTest, proveItsPlaceAndTheEndWithoutAnotherRoundTrip) {
  auto sent = readEnd(lossy, paths, end);
  lossy.readsHang = true;
  auto log = readerAtEnd();
  patience.await(log->verifyOnceElected(kj::mv(sent)));
  EXPECT_TRUE(patience.await(log->next()) == nullptr);
}

TEST_F(EndReadsTest, findWhatTheOldLeaderWroteLast) {
  LogPosition before = end;
  write("two");
  write("three");
  auto log = kj::heap<LogReader>(lossy, paths, history, before);
  patience.await(log->verifyOnceElected(readEnd(lossy, paths, before)));
  EXPECT_EQ(readAll(*log), "no failure");
  EXPECT_EQ(log->position(), end);
}

TEST_F(EndReadsTest, ofAnotherPlaceAreNotUsed) {
  auto sent = readEnd(lossy, paths, end);
  write("two");
  auto log = readerAtEnd();
  patience.await(log->verifyOnceElected(kj::mv(sent)));
  EXPECT_TRUE(patience.await(log->next()) == nullptr);
}

TEST_F(EndReadsTest, findALostSuffix) {
  write("two");
  patience.await(session->multi({removeOp(paths.batch(BatchNumber{2}))}));
  put(BatchNumber{2}, "other bytes");
  auto log = readerAtEnd();
  auto sent = readEnd(lossy, paths, end);
  EXPECT_THAT(describeFailure([&] { patience.await(log->verifyOnceElected(kj::mv(sent))); }),
              HasSubstr("LOST_SUFFIX"));
}

TEST_F(LogReaderTest, anotherHistoryInTheEpochIsAFault) {
  auto log = reader();
  patience.await(log->verifyPosition());
  EpochView restored = KJ_ASSERT_NONNULL(patience.await(readEpoch(*session, paths)));
  restored.history = HistoryId{2, random.guid()};
  patience.await(
      session->multi({setOp(paths.epoch(), encodeEpoch(restored, CLUSTER), ANY_VERSION)}));
  EXPECT_THAT(describeFailure([&] { patience.await(log->verifyPosition()); }),
              HasSubstr("HISTORY_DIFFERS"));
}

TEST_F(LogReaderTest, tailingGoesOnAfterAReconnect) {
  write("one");
  auto log = reader();
  EXPECT_EQ(readAll(*log), "no failure");
  auto waiting = log->waitNext(loop.timer());
  servers.kill(0);
  servers.start(0);
  ASSERT_TRUE(patience.until([&] { return session->health().reconnects == 1; }));
  write("two");
  EXPECT_EQ(patience.await(kj::mv(waiting)).batch.commands.at(0), "two");
}

TEST_F(LogReaderTest, theEndOfTheSessionEndsTheReading) {
  auto log = reader();
  auto waiting = log->waitNext(loop.timer());
  session->close();
  EXPECT_THAT(describeFailure([&] { patience.await(kj::mv(waiting)); }), HasSubstr("DISCONNECTED"));
}

}  // namespace
}  // namespace muster::failover::log_reader_test

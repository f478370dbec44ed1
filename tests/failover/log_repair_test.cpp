// What may be written again after ZooKeeper lost acknowledged batches: each rule by itself.
#include "failover/log_repair.h"

#include "protocol/codec.h"

#include <gtest/gtest.h>
#include <kj/exception.h>

#include <map>

namespace muster::failover::log_repair_test {
namespace {

// A log of `count` batches, and everything somebody may know about it.
class LogRepairTest : public testing::Test {
 protected:
  ~LogRepairTest() noexcept override = default;

  const HistoryId HISTORY{1, {2, 3}};
  std::vector<ByteString> bytes;
  std::vector<LogPosition> positions{LogPosition{}};  // after each batch; [0]: before the first

  LogRepairTest() {
    for (uint64_t i = 0; i < 6; i++) write("command " + std::to_string(i));
  }
  ByteString next(const std::string& command) const {
    Batch batch{};
    batch.history = HISTORY;
    batch.epoch = Epoch{4};
    batch.number = positions.back().batch.next();
    batch.firstIndex = positions.back().index.next();
    batch.id = Guid{9, batch.number.value};
    batch.previousChain = positions.back().chain;
    batch.commands = {command};
    return encodeBatch(batch);
  }
  void write(const std::string& command) {
    bytes.push_back(next(command));
    positions.push_back(positionAfter(decodeBatch(bytes.back()), bytes.back()));
  }
  LogEnd endAt(uint64_t last) const { return {positions[last].batch, positions[last].chain}; }
  // Whoever holds the batches from `first` on.
  HeldBytes heldFrom(uint64_t first) const {
    return [this, first](BatchNumber number) -> std::optional<ByteString> {
      if (number.value < first || number.value > bytes.size()) return std::nullopt;
      return bytes[number.value - 1];
    };
  }
  Claim claim(uint64_t at, const char* id = "co2") const { return {{id}, positions[at]}; }
  LossVerdict verdict(const LogEnd& log, uint64_t own, uint64_t heldFirst,
                      const std::vector<Claim>& peers = {}) const {
    return judgeLoss(log, positions[own], heldFrom(heldFirst), peers).verdict;
  }
};

TEST_F(LogRepairTest, aWholeLogIsNoLoss) {
  EXPECT_EQ(verdict(endAt(6), 6, 1, {claim(6), claim(4)}), LossVerdict::NOTHING);
  EXPECT_EQ(verdict(endAt(6), 4, 1, {claim(6)}), LossVerdict::NOTHING);  // we have not read all
  EXPECT_EQ(verdict(endAt(0), 0, 1), LossVerdict::NOTHING);
}

TEST_F(LogRepairTest, aMissingSuffixThatIsHeldIsWrittenAgain) {
  EXPECT_EQ(verdict(endAt(4), 6, 5, {claim(6), claim(3)}), LossVerdict::REWRITE);
  EXPECT_EQ(verdict(endAt(0), 6, 1), LossVerdict::REWRITE);  // the whole log
}

TEST_F(LogRepairTest, whatIsNotHeldIsAnOldCopy) {
  auto judged = judgeLoss(endAt(3), positions[6], heldFrom(5), {});
  EXPECT_EQ(judged.verdict, LossVerdict::RESTORE);
  EXPECT_NE(judged.text.find("old copy"), std::string::npos) << judged.text;
}

TEST_F(LogRepairTest, anotherEndOfTheLogIsNeverWrittenOver) {
  LogEnd fork = endAt(4);
  fork.chain.low ^= 1;
  EXPECT_EQ(verdict(fork, 6, 5), LossVerdict::RESTORE);
  EXPECT_EQ(verdict(fork, 4, 1), LossVerdict::RESTORE);
}

TEST_F(LogRepairTest, holdersThatDisagreeStopEverything) {
  Claim other = claim(6);
  other.position.chain.high ^= 1;
  EXPECT_EQ(verdict(endAt(4), 6, 5, {claim(6, "co3"), other}), LossVerdict::RESTORE);
  Claim earlier = claim(5);
  earlier.position.chain.high ^= 1;
  EXPECT_EQ(verdict(endAt(4), 6, 5, {earlier}), LossVerdict::RESTORE);
  EXPECT_EQ(verdict(endAt(6), 6, 6, {other}), LossVerdict::RESTORE);  // without any loss
}

TEST_F(LogRepairTest, aPeerThatHasMoreThanTheLogIsAskedFirst) {
  auto judged = judgeLoss(endAt(3), positions[4], heldFrom(1), {claim(5), claim(6, "co3")});
  EXPECT_EQ(judged.verdict, LossVerdict::BEHIND);
  EXPECT_EQ(judged.source, CoordinatorId{"co3"});
  EXPECT_EQ(verdict(endAt(4), 4, 1, {claim(5)}), LossVerdict::BEHIND);
}

TEST_F(LogRepairTest, whatAPeerSendsMustContinueOurLogAndPassThroughEveryClaim) {
  std::vector<ByteString> two(bytes.begin() + 4, bytes.end());
  EXPECT_FALSE(judgeContinuation(positions[4], HISTORY, two, {claim(5), claim(6)}));
  EXPECT_TRUE(judgeContinuation(positions[3], HISTORY, two, {}));
  EXPECT_TRUE(judgeContinuation(positions[4], HistoryId{1, {8, 8}}, two, {}));
  Claim other = claim(5);
  other.position.chain.low ^= 1;
  EXPECT_TRUE(judgeContinuation(positions[4], HISTORY, two, {other}));
  two[1][two[1].size() - 3] ^= 1;
  EXPECT_TRUE(judgeContinuation(positions[4], HISTORY, two, {}));
}

TEST_F(LogRepairTest, aRecordIsReplacedOnlyUnderOurEpochAndOverWhatWasSeen) {
  Paths paths{ClusterName{"test"}};
  auto ops = replaceOps(paths, 7, BatchNumber{3}, bytes[2], 1);
  ASSERT_EQ(ops.size(), 2u);
  EXPECT_EQ(ops[0].kind, OpKind::CHECK);
  EXPECT_EQ(ops[0].version, 7);
  EXPECT_EQ(ops[1].kind, OpKind::SET);
  EXPECT_EQ(ops[1].path, paths.batch(BatchNumber{3}));
  EXPECT_EQ(ops[1].version, 1);
}

}  // namespace
}  // namespace muster::failover::log_repair_test

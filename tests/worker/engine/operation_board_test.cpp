#include "worker/engine/native/operation_board.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <thread>

namespace muster::worker::operation_board_test {
namespace {

class OperationBoardTest : public testing::Test {
 protected:
  OperationBoardTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "muster_board.XXXXXX").string();
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ / OPERATION_BOARD_NAME;
  }
  ~OperationBoardTest() override { std::filesystem::remove_all(folder_); }

  void publish(const OperationBoard& board) {
    auto published = board.publish(path_);
    ASSERT_TRUE(published.ok()) << published.refusal().text;
  }
  std::string readText() const {
    auto last = readOperationBoard(path_);
    return last ? toText(*last) : "nothing";
  }
  void write(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }

  std::filesystem::path folder_;
  std::filesystem::path path_;
};

// A board as another process might have left it in a file.
std::string boardBytes(const std::string& magic, uint64_t engineWord) {
  std::string bytes(sizeof(OperationBoard::Page), '\0');
  std::memcpy(bytes.data(), magic.data(), magic.size());
  std::memcpy(bytes.data() + offsetof(OperationBoard::Page, engine), &engineWord,
              sizeof engineWord);
  return bytes;
}

TEST_F(OperationBoardTest, whatARankDoesIsReadThroughItsLink) {
  OperationBoard board;
  publish(board);
  EXPECT_EQ(readText(), "start of its process");
  board.beginStep(4102, 5);
  board.begin(RankOperation::SUM_ATTENTION, 17);
  EXPECT_EQ(readText(), "all-reduce of layer 17's attention output in step 4102, 5 sequences");
  board.begin(RankOperation::RECEIVE_ACTIVATIONS, 0);
  EXPECT_EQ(readText(), "receive of activations from stage 0 in step 4102, 5 sequences");
  EXPECT_EQ(readOperationBoard(path_), board.last());
}

TEST_F(OperationBoardTest, aLoadIsNamedByItsFile) {
  const std::string longName(100, 'x');
  OperationBoard board;
  publish(board);
  board.nameFiles({"model-1.safetensors", longName});
  board.beginFile(RankOperation::LOAD_FILE, "model-1.safetensors");
  EXPECT_EQ(readText(), "load of model-1.safetensors");
  board.beginFile(RankOperation::OPEN_FILE, longName);
  EXPECT_EQ(readText(), "opening of " + longName.substr(0, 63));
  board.beginFile(RankOperation::LOAD_FILE, "another");
  EXPECT_EQ(readText(), "load of the weights");
}

TEST_F(OperationBoardTest, whileTheEngineIsAtWorkThatIsWhatTheRankDoes) {
  OperationBoard board;
  publish(board);
  board.begin(RankOperation::SERVE);
  {
    EngineAtWork guard(&board);
    board.begin(RankOperation::AWAIT_STEP);
    board.begin(RankOperation::JOIN);
    EXPECT_EQ(readText(), "wait for the next step");
  }
  EXPECT_EQ(readText(), "joining of its group");
}

// A process that is stopped between two stores leaves a step's number beside what came before it.
TEST_F(OperationBoardTest, aStepThatHasOnlyItsNumberIsNotToldYet) {
  OperationBoard board;
  publish(board);
  board.begin(RankOperation::SERVE);
  board.beginStep(7, 1);
  board.begin(RankOperation::ATTENTION, 3);
  EXPECT_EQ(board.duringText(), ", during attention of layer 3 in step 7, 1 sequence");
  board.rest();
  board.beginStep(8, 1);
  EXPECT_EQ(readText(), "wait for requests");
  EXPECT_EQ(board.duringText(), "");
}

TEST_F(OperationBoardTest, whatIsReadWhileTheRankGoesOnBelongsTogether) {
  OperationBoard board;
  publish(board);
  std::atomic<bool> stop{false};
  std::thread rank([&] {
    for (uint64_t step = 1; !stop; ++step) {
      board.beginStep(step, 1);
      board.begin(RankOperation::ATTENTION, step % 1000);
      board.rest();
    }
  });
  for (int reads = 0; reads < 2000; ++reads) {
    auto last = readOperationBoard(path_);
    ASSERT_TRUE(last);
    if (last->step != 0) {
      EXPECT_EQ(last->detail, last->step % 1000);
    }
  }
  stop = true;
  rank.join();
  EXPECT_EQ(readOperationBoard(path_), board.last());
}

TEST_F(OperationBoardTest, everyOperationThatBeginsIsCounted) {
  OperationBoard board;
  const uint64_t before = board.last().begun;
  board.begin(RankOperation::JOIN);
  board.begin(RankOperation::MEET);
  board.begin(RankOperation::MEET);
  EXPECT_EQ(board.last().begun, before + 3);
}

TEST_F(OperationBoardTest, whatIsNoBoardIsNotRead) {
  EXPECT_EQ(readText(), "nothing");  // there is none
  for (const std::string& bytes : {std::string(), std::string("MSTOPS01"), std::string(20000, 'x'),
                                   boardBytes("MSTOPS02", uint64_t{41} << 56)}) {
    write(bytes);
    EXPECT_EQ(readText(), "nothing") << bytes.substr(0, 8);
  }
  std::filesystem::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(readText(), "nothing");
}

TEST_F(OperationBoardTest, ofAProcessThatIsGoneNothingIsRead) {
  {
    OperationBoard board;
    publish(board);
    EXPECT_EQ(readText(), "start of its process");
  }
  EXPECT_EQ(readText(), "nothing");
}

TEST_F(OperationBoardTest, anOperationOfALaterVersionIsToldByItsNumber) {
  write(boardBytes("MSTOPS01", uint64_t{200} << 56 | 1));
  EXPECT_EQ(readText(), "operation 200 of a rank of another version");
  EXPECT_EQ(blameFor(static_cast<RankOperation>(200)), Blame::NOBODY);
}

TEST_F(OperationBoardTest, aBoardThatCannotBePublishedSaysWhere) {
  OperationBoard board;
  auto published = board.publish(folder_ / "missing" / "operations");
  ASSERT_FALSE(published.ok());
  EXPECT_NE(published.refusal().text.find("missing/operations: No such file"), std::string::npos);
}

TEST(RankOperation, whoWaitsForOthersIsNotToBlame) {
  EXPECT_EQ(blameFor(RankOperation::ATTENTION), Blame::SELF);
  EXPECT_EQ(blameFor(RankOperation::LOAD_FILE), Blame::SELF);
  EXPECT_EQ(blameFor(RankOperation::SUM_FEED_FORWARD), Blame::PEER);
  EXPECT_EQ(blameFor(RankOperation::AWAIT_STEP), Blame::PEER);
  EXPECT_EQ(blameFor(RankOperation::SERVE), Blame::NOBODY);
}

}  // namespace
}  // namespace muster::worker::operation_board_test

#include "worker/output_tail.h"

#include "worker/rank_folder.h"
#include "worker/stall_watch.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <unistd.h>

namespace muster::worker::output_tail_test {
namespace {

class OutputTailTest : public testing::Test {
 protected:
  OutputTailTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "muster_tail.XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ + "/output.log";
  }
  ~OutputTailTest() override { std::filesystem::remove_all(folder_); }
  void print(const std::string& text) { std::ofstream(path_, std::ios::app) << text; }

  std::string folder_;
  std::string path_;
};

TEST_F(OutputTailTest, givesWholeLinesOnce) {
  OutputTail tail(path_);
  EXPECT_TRUE(tail.newLines().empty());
  print("one\ntw");
  EXPECT_EQ(tail.newLines(), std::vector<std::string>{"one"});
  print("o\r\nthree\n");
  EXPECT_EQ(tail.newLines(), (std::vector<std::string>{"two", "three"}));
  EXPECT_TRUE(tail.newLines().empty());
}

TEST_F(OutputTailTest, aProgramWithoutNewlinesDoesNotGrowUs) {
  OutputTail tail(path_);
  print(std::string(10'000, 'x'));
  auto lines = tail.newLines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].size(), 4096u);
}

TEST_F(OutputTailTest, lastLinesOfALongFileAreWhole) {
  for (int i = 0; i < 50'000; ++i) print("line " + std::to_string(i) + "\n");
  auto lines = lastLines(path_, 3);
  EXPECT_EQ(lines, (std::vector<std::string>{"line 49997", "line 49998", "line 49999"}));
  EXPECT_EQ(lastLines(path_, 1'000'000).front().substr(0, 5), "line ");
}

TEST_F(OutputTailTest, aMissingFileHasNoLines) { EXPECT_TRUE(lastLines(path_, 5).empty()); }

TEST(FirstError, keepsTheFirstAndWhatLedToIt) {
  FirstError error;
  error.take({"a", "b", "c", "RuntimeError: first", "detail", "ValueError: second"});
  error.take(std::vector<std::string>(20, "noise"));
  EXPECT_EQ(error.text().substr(0, 23), "b\nc\nRuntimeError: first");
  EXPECT_TRUE(error.found());
  EXPECT_NE(error.text().find("second"), std::string::npos);
  std::string text = error.text();
  EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 8);
}

TEST(FirstError, withoutOneTheLastLinesStandForIt) {
  FirstError error;
  for (int i = 0; i < 30; ++i) error.take({"line " + std::to_string(i)});
  EXPECT_EQ(error.text().substr(error.text().size() - 7), "line 29");
  EXPECT_FALSE(error.found());
}

TEST(StallWatch, onlyChangeIsProgress) {
  StallWatch watch(2_s, {0});
  watch.observe(10, SteadyTime{} + 1_s);
  watch.observe(10, SteadyTime{} + 2_s);
  EXPECT_FALSE(watch.stalled(SteadyTime{} + 2_s));
  EXPECT_TRUE(watch.stalled(SteadyTime{} + 3_s));
  watch.observe(11, SteadyTime{} + 3_s);
  EXPECT_FALSE(watch.stalled(SteadyTime{} + 4_s));
}

TEST(RankFolderName, comesBackAsItWas) {
  RankRef ref{{7}, {1}, {12}, {3}};
  EXPECT_EQ(folderName(ref), "7-1-12-3");
  EXPECT_EQ(parseFolderName("7-1-12-3"), ref);
  for (const char* name : {"", "7", "7-1-12", "7-1-12-3-4", "7-1-12-x", "07-1-12-3", "-1-2-3-4"}) {
    EXPECT_EQ(parseFolderName(name), std::nullopt) << name;
  }
}

}  // namespace
}  // namespace muster::worker::output_tail_test

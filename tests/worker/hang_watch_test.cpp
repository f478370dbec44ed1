#include "worker/hang_watch.h"

#include <gtest/gtest.h>

namespace muster::worker::hang_watch_test {
namespace {

constexpr Duration STALL = 10_s;

// A rank that is looked at once a second.
struct Watched {
  // Looks for so many seconds, the first time a second from now.
  void pass(int seconds) {
    for (int i = 0; i < seconds; ++i) look(1_s);
  }
  void look(Duration later) {
    now = now + later;
    watch.look(told, last, now);
  }
  void begins(RankOperation what) {
    ++begun;
    last = LastOperation{.what = what, .begun = begun};
  }

  SteadyTime now;
  uint64_t begun = 0;
  RankReport told{.phase = ReplicaPhase::READY};
  std::optional<LastOperation> last;
  HangWatch watch{STALL, now};
};

TEST(HangWatch, workThatDoesNotEndIsTheRanksOwnFault) {
  Watched rank;
  rank.begins(RankOperation::ATTENTION);
  rank.pass(10);
  EXPECT_FALSE(rank.watch.hangs());  // it was seen first after one second
  rank.pass(1);
  EXPECT_TRUE(rank.watch.hangs());
  EXPECT_EQ(rank.watch.text(), "no operation has ended for 10s");
}

TEST(HangWatch, eachOperationThatBeginsIsProgress) {
  Watched rank;
  for (int i = 0; i < 30; ++i) {
    rank.begins(RankOperation::ATTENTION);
    rank.pass(9);
    EXPECT_FALSE(rank.watch.hangs());
  }
}

// The wait has a deadline, the stall time, and names those who did not come.
TEST(HangWatch, whoWaitsForOthersIsTheirVictimUntilItsDeadlineShouldHaveEndedTheWait) {
  Watched rank;
  rank.begins(RankOperation::SUM_ATTENTION);
  rank.pass(15);
  EXPECT_FALSE(rank.watch.hangs());
  rank.pass(1);
  EXPECT_TRUE(rank.watch.hangs());
  EXPECT_EQ(rank.watch.text(), "no operation has ended for 15s");
}

TEST(HangWatch, whoIsAskedNothingDoesNotHang) {
  Watched rank;
  rank.begins(RankOperation::SERVE);
  rank.pass(1000);
  EXPECT_FALSE(rank.watch.hangs());
}

TEST(HangWatch, bytesThatComeAreProgressOfOneLoad) {
  Watched rank;
  rank.told.phase = ReplicaPhase::LOADING;
  rank.begins(RankOperation::LOAD_FILE);
  for (int i = 0; i < 30; ++i) {
    rank.told.loaded += 1_MiB;
    rank.pass(9);
    EXPECT_FALSE(rank.watch.hangs());
  }
  rank.pass(2);
  EXPECT_TRUE(rank.watch.hangs());
  EXPECT_EQ(rank.watch.text(), "no byte was loaded for 10s");
}

TEST(HangWatch, ofARankThatNotesNothingOnlyLoadingIsJudged) {
  Watched rank;
  rank.pass(1000);
  EXPECT_FALSE(rank.watch.hangs());
  rank.told.phase = ReplicaPhase::LOADING;
  rank.pass(10);
  EXPECT_TRUE(rank.watch.hangs());
}

// A machine that slept: the rank slept as well.
TEST(HangWatch, whoLookedAwayForLongBlamesNobody) {
  Watched rank;
  rank.begins(RankOperation::ATTENTION);
  rank.pass(5);
  rank.look(1000_s);
  EXPECT_FALSE(rank.watch.hangs());
  rank.pass(10);
  EXPECT_TRUE(rank.watch.hangs());
}

}  // namespace
}  // namespace muster::worker::hang_watch_test

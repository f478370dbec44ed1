// When a leader is taken for dead: tables.
#include "failover/death_rules.h"

#include "failover/election_rules.h"

#include <gtest/gtest.h>

namespace muster::failover::death_rules_test {
namespace {

const Incarnation LEADER{1, 1};
const Incarnation ANOTHER{2, 2};
const FencingToken TOKEN{HistoryId{1, {9, 9}}, Epoch{7}};
const FencingToken OLDER{HistoryId{1, {9, 9}}, Epoch{6}};
const LeaderInLine IN_LINE{CoordinatorId{"co1"}, LEADER, TOKEN};
constexpr SteadyTime START{1'000'000'000'000};

Heartbeat serving(Duration checkAge, FencingToken token = TOKEN) {
  return {LEADER, token, true, checkAge};
}
Heartbeat standing() { return {LEADER, OLDER, false, {}}; }

// Heard `newest` when asked at START.
Hearing heard(const Heartbeat& newest) {
  Hearing hearing;
  hearing.answered(newest, START);
  return hearing;
}
Hearing broken(Heartbeat newest) {
  Hearing hearing = heard(newest);
  hearing.broke();
  return hearing;
}
Hearing refused(Heartbeat newest) {
  Hearing hearing = broken(newest);
  hearing.nobodyAnswered();
  return hearing;
}
Hearing lateAt(Hearing hearing, Duration after) {
  hearing.lateAt = START + after;
  return hearing;
}
Heartbeat of(const Incarnation& incarnation) { return {incarnation, TOKEN, false, {}}; }

TEST(DeathRules, judgesOneLeader) {
  struct Case {
    const char* name;
    Hearing hearing;
    Duration after;  // START
    Suspicion expected;
  };
  const Case CASES[] = {
      {"never heard, nobody answers",
       [] {
         Hearing h;
         h.nobodyAnswered();
         return h;
       }(),
       10_s, Suspicion::NONE},
      {"never heard at all", Hearing{}, 10_s, Suspicion::NONE},
      {"answers", heard(serving(100_ms)), 50_ms, Suspicion::NONE},
      {"its connection broke", broken(serving(100_ms)), 5_ms, Suspicion::NONE},
      {"broke and refused", refused(serving(100_ms)), 5_ms, Suspicion::GONE},
      {"broke and refused before it served", refused(standing()), 5_ms, Suspicion::GONE},
      {"another process was lost", refused(of(ANOTHER)), 5_ms, Suspicion::NONE},
      {"another process answers", heard(of(ANOTHER)), 5_ms, Suspicion::GONE},
      {"came back as the same process",
       [] {
         Hearing h = refused(serving(0_ms));
         h.answered(serving(0_ms), START + 5_ms);
         return h;
       }(),
       10_ms, Suspicion::NONE},
      {"came back as another process",
       [] {
         Hearing h = refused(serving(0_ms));
         h.answered(of(ANOTHER), START + 5_ms);
         return h;
       }(),
       10_ms, Suspicion::GONE},
      {"three heartbeats are missed", heard(serving(100_ms)), 399_ms, Suspicion::NONE},
      {"silent", heard(serving(100_ms)), 400_ms, Suspicion::SILENT},
      {"silent since it took over", heard(standing()), 400_ms, Suspicion::SILENT},
      {"silent, its connection broke", broken(serving(100_ms)), 400_ms, Suspicion::SILENT},
      {"silent, but we were late", lateAt(heard(serving(100_ms)), 300_ms), 600_ms, Suspicion::NONE},
      {"silent for long after we were late", lateAt(heard(serving(100_ms)), 300_ms), 700_ms,
       Suspicion::SILENT},
      {"its check is as old as it may be", heard(serving(300_ms)), 10_ms, Suspicion::NONE},
      {"its check is too old", heard(serving(301_ms)), 10_ms, Suspicion::STALE},
      {"its check of an older epoch is too old", heard(serving(900_ms, OLDER)), 10_ms,
       Suspicion::NONE},
      {"it does not serve yet", heard(Heartbeat{LEADER, TOKEN, false, 900_ms}), 10_ms,
       Suspicion::NONE},
  };
  for (const Case& c : CASES) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(judge(c.hearing, IN_LINE, START + c.after), c.expected);
  }
}

TEST(DeathRules, aLeaderWhoseProcessIsUnknownIsNeverSuspected) {
  LeaderInLine unknown = IN_LINE;
  unknown.incarnation = {};
  EXPECT_EQ(judge(refused(of({})), unknown, START + 10_s), Suspicion::NONE);
}

TEST(DeathRules, onlyABrokenConnectionNeedsNoMajority) {
  EXPECT_FALSE(needsMajority(Suspicion::GONE));
  EXPECT_TRUE(needsMajority(Suspicion::SILENT));
  EXPECT_TRUE(needsMajority(Suspicion::STALE));
}

TEST(DeathRules, aMajorityIsOfAllConfigured) {
  struct Case {
    size_t agreeing, configured;
    bool majority;
  };
  for (const Case& c : {Case{1, 1, true},
                        {1, 2, false},
                        {2, 2, true},
                        {1, 3, false},
                        {2, 3, true},
                        {2, 4, false},
                        {2, 5, false},
                        {3, 5, true}}) {
    EXPECT_EQ(isMajority(c.agreeing, c.configured), c.majority)
        << c.agreeing << " of " << c.configured;
  }
}

// Each wrong guess doubles the pause, a right one starts it anew.
TEST(DeathRules, pausesAfterWrongGuesses) {
  GuessHistory history;
  SteadyTime now = START;
  EXPECT_TRUE(history.mayGuess(now));
  for (Duration pause : {60_s, 120_s, 240_s}) {
    history.tookOver(LEADER, Suspicion::SILENT, now, 1_s);
    EXPECT_TRUE(history.mayGuess(now));
    EXPECT_FALSE(history.heard(of(ANOTHER), now)) << "another process proves nothing";
    EXPECT_TRUE(history.heard(of(LEADER), now + 200_ms));
    EXPECT_FALSE(history.heard(of(LEADER), now + 300_ms)) << "a guess is wrong once";
    EXPECT_FALSE(history.mayGuess(now + 200_ms + pause - 1_ms));
    now = now + 200_ms + pause;
    EXPECT_TRUE(history.mayGuess(now));
  }
  history.tookOver(LEADER, Suspicion::SILENT, now, 1_s);
  EXPECT_FALSE(history.heard(of(LEADER), now + 1_s)) << "its session would have ended by then";
  EXPECT_TRUE(history.mayGuess(now + 1_s));
  history.tookOver(LEADER, Suspicion::SILENT, now + 5_s, 1_s);
  EXPECT_TRUE(history.heard(of(LEADER), now + 5_s));
  EXPECT_TRUE(history.mayGuess(now + 65_s)) << "after a right guess the pause is short again";
}

// One that is cut off speaks all the time; only that it follows again shows that it would have
// gone on.
TEST(DeathRules, whoWasCutOffProvesAGuessWrongByFollowing) {
  GuessHistory history;
  history.tookOver(LEADER, Suspicion::STALE, START, 1_s);
  EXPECT_FALSE(history.heard({LEADER, TOKEN, true, 400_ms, true}, START + 100_ms))
      << "it serves on";
  EXPECT_FALSE(history.heard({LEADER, TOKEN, false, {}, false}, START + 200_ms)) << "not connected";
  EXPECT_TRUE(history.mayGuess(START + 300_ms));
  EXPECT_TRUE(history.heard({LEADER, TOKEN, false, {}, true}, START + 300_ms));
  EXPECT_FALSE(history.mayGuess(START + 300_ms));
}

TEST(DeathRules, thePauseHasAnEnd) {
  GuessHistory history;
  SteadyTime now = START;
  for (int i = 0; i < 70; i++) {
    history.tookOver(LEADER, Suspicion::SILENT, now, 1_s);
    EXPECT_TRUE(history.heard(of(LEADER), now));
    now = now + GUESS_PAUSE * 64;
    EXPECT_TRUE(history.mayGuess(now)) << i;
  }
}

TEST(DeathRules, theLineBehindTheLeader) {
  auto name = [](uint64_t guid, const std::string& sequence) {
    return "c-" + toText(Guid{0, guid}) + "-" + sequence;
  };
  std::vector<std::string> names = {name(1, "0000000001"), name(2, "0000000002"),
                                    name(3, "0000000003")};
  auto line = lineOf(names, {});
  EpochView view;
  view.leaderGuid = Guid{0, 2};  // who became leader by a hand-over
  auto leader = leaderIn(line, view);
  EXPECT_EQ(placeBehind(line, leader, names[0]), 0u);
  EXPECT_EQ(placeBehind(line, leader, names[2]), 1u);
  EXPECT_EQ(placeBehind(line, leader, names[1]), std::nullopt);
  EXPECT_EQ(placeBehind(line, std::nullopt, names[2]), 2u);
}

}  // namespace
}  // namespace muster::failover::death_rules_test

// The lease rule, word by word, as tables.
#include "coordinator/leases.h"

#include "coordinator/cluster_clock.h"

#include <gtest/gtest.h>

#include <vector>

namespace muster::coordinator::leases_test {
namespace {

const NodeName NODE{"gpu01"};
constexpr Instant TAKEOVER{100'000'000'000};

Instant after(Duration duration) { return TAKEOVER + duration; }

TEST(Leases, extendsToTheSendingOfTheLastCommittedCheckPlusALease) {
  struct Case {
    const char* name;
    Duration checkSent;  // after the takeover
    Duration now;
    Duration remaining;  // what the answer says
    Duration end;        // what the leader has to believe, after the takeover
  };
  const std::vector<Case> CASES = {
      {"check just sent", 10_s, 10_s, 6_s, 16_s},
      {"idle leader, check 200 ms old", 10_s, 10_s + 200_ms, 6_s - 200_ms, 16_s},
      {"cut-off leader, check 5 s old", 10_s, 15_s, 1_s, 16_s},
      {"cut-off leader, check older than a lease", 10_s, 17_s, 0_s, 16_s},
      {"early heartbeat: the grant of the takeover is longer", 1_s, 1_s, 6_s, 7'200_ms},
  };
  for (const Case& c : CASES) {
    SCOPED_TRACE(c.name);
    LeaseBook book(TAKEOVER);
    EXPECT_EQ(book.extend(NODE, after(c.checkSent), after(c.now)), c.remaining);
    EXPECT_EQ(book.end(NODE), after(c.end));
  }
}

TEST(Leases, neverShortens) {
  LeaseBook book(TAKEOVER);
  book.extend(NODE, after(20_s), after(20_s));
  EXPECT_EQ(book.extend(NODE, after(15_s), after(20_s)), 1_s);
  EXPECT_EQ(book.end(NODE), after(26_s));
}

TEST(Leases, grantsEveryNodeAFullLeaseAndAFifthFromTheTakeover) {
  LeaseBook book(TAKEOVER);
  EXPECT_EQ(book.end(NODE), after(7'200_ms));
  EXPECT_EQ(book.end({"never-heard-of"}), after(7'200_ms));
}

TEST(Leases, grantsLessOnlyWhereASuspicionWasLogged) {
  struct Case {
    const char* name;
    Duration remaining;
    Duration end;
  };
  const std::vector<Case> CASES = {
      {"two seconds were left", 2_s, 2_s},
      {"nothing was left", 0_s, 0_s},
      {"a negative rest counts as nothing", Duration{-1}, 0_s},
      {"never more than the grant", 60_s, 7'200_ms},
  };
  for (const Case& c : CASES) {
    SCOPED_TRACE(c.name);
    LeaseBook book(TAKEOVER);
    book.limitGrant(NODE, c.remaining);
    EXPECT_EQ(book.end(NODE), after(c.end));
    EXPECT_EQ(book.end({"gpu02"}), after(7'200_ms));
  }
}

TEST(Leases, aSuspicionDoesNotShortenWhatWasExtended) {
  LeaseBook book(TAKEOVER);
  book.extend(NODE, after(3_s), after(3_s));
  book.limitGrant(NODE, 1_s);
  EXPECT_EQ(book.end(NODE), after(9_s));
}

// What an agent counts must end before what the leader believes, whatever the delays: it counts 0.8
// of the answer from the sending of its request.
TEST(Leases, theAgentsCountEndsBeforeTheLeaders) {
  for (Duration checkAge : {0_ms, 200_ms, 3_s}) {
    for (Duration flight : {0_ms, 50_ms, 2_s}) {
      LeaseBook book(TAKEOVER);
      Instant sent = after(20_s);
      Instant answered = sent + flight;
      Duration remaining = book.extend(NODE, answered - checkAge, answered);
      Instant agentsEnd = sent + remaining * 8 / 10;
      EXPECT_LE(agentsEnd, book.end(NODE));
    }
  }
}

class SteppedClock final : public Clock {
 public:
  SteadyTime steadyNow() const override { return steady; }
  WallTime wallNow() const override { return wall; }
  SteadyTime steady{7'000};
  WallTime wall{1};
};

TEST(ClusterClock, goesOnFromTheLastLoggedTimeByTheSteadyClock) {
  SteppedClock clock;
  ClusterClock cluster(clock, TAKEOVER);
  EXPECT_EQ(cluster.now(), TAKEOVER);
  clock.steady = clock.steady + 3_s;
  clock.wall = {-1};  // a wall clock that jumps changes nothing
  EXPECT_EQ(cluster.now(), after(3_s));
  EXPECT_EQ(cluster.at(clock.steady - 1_s), after(2_s));
}

TEST(ClusterClock, neverGoesBack) {
  SteppedClock clock;
  ClusterClock cluster(clock, TAKEOVER);
  clock.steady = clock.steady + 3_s;
  cluster.atLeast(after(1_s));
  EXPECT_EQ(cluster.now(), after(3_s));
  cluster.atLeast(after(10_s));
  EXPECT_EQ(cluster.now(), after(10_s));
  clock.steady = clock.steady + 1_s;
  EXPECT_EQ(cluster.now(), after(11_s));
}

NodeState inPhase(NodePhase phase, Instant since) {
  NodeState node;
  node.reachability = phase;
  node.since = since;
  return node;
}

TEST(ReadyNodes, areReadyOnceTheirReturnIsCommitted) {
  ReadyBook book;
  NodeState away = inPhase(NodePhase::UNREACHABLE, after(1_s));
  NodeState back = inPhase(NodePhase::READY, after(2_s));
  EXPECT_FALSE(book.isReady(NODE, nullptr, LogIndex{9}, LogIndex{9}));
  EXPECT_FALSE(book.isReady(NODE, &away, LogIndex{10}, LogIndex{10}));
  EXPECT_FALSE(book.isReady(NODE, &back, LogIndex{12}, LogIndex{11}));
  EXPECT_TRUE(book.isReady(NODE, &back, LogIndex{20}, LogIndex{12}));
}

TEST(ReadyNodes, areNotReadyByAnEarlierStayWhenNobodyAskedInBetween) {
  ReadyBook book;
  NodeState before = inPhase(NodePhase::READY, after(1_s));
  NodeState back = inPhase(NodePhase::READY, after(5_s));  // gone since, and its return in flight
  EXPECT_TRUE(book.isReady(NODE, &before, LogIndex{10}, LogIndex{10}));
  EXPECT_FALSE(book.isReady(NODE, &back, LogIndex{30}, LogIndex{28}));
  EXPECT_TRUE(book.isReady(NODE, &back, LogIndex{31}, LogIndex{30}));
}

}  // namespace
}  // namespace muster::coordinator::leases_test

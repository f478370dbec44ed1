// The command log over a real server: append, group commit, barrier, and what goes wrong.
#include "failover/records.h"
#include "tests/failover/coordinators.h"

#include <gmock/gmock.h>

namespace muster::failover::append_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using Fate = LossySession::Fate;

class AppendTest : public Coordinators<ZkTest> {
 protected:
  AppendTest() {
    bootstrapTree();
    co1 = coordinator("co1");
  }
  ~AppendTest() noexcept override {}

  kj::Promise<void> append(const std::string& command) {
    return co1.leadership->append(command).committed;
  }
  LeadershipEnd awaitEnd() { return patience.await(co1.leadership->ended()).why; }
  size_t appendsAsked() const {
    return static_cast<size_t>(
        std::count_if(co1.session->asked.begin(), co1.session->asked.end(), isAppend));
  }

  TestCoordinator co1;
};

TEST_F(AppendTest, theFirstLeaderAppendsAndEveryoneReadsTheSame) {
  standAndLead(co1);
  EXPECT_EQ(co1.reason, "first leader");
  EXPECT_EQ(co1.leadership->epoch(), Epoch{1});
  auto first = co1.leadership->append("one");
  EXPECT_EQ(first.index, LogIndex{1});
  patience.await(kj::mv(first.committed));
  auto second = co1.leadership->append("two");
  EXPECT_EQ(second.index, LogIndex{2});
  patience.await(kj::mv(second.committed));
  EXPECT_THAT(wholeLog(), ElementsAre("one", "two"));
  ASSERT_EQ(co1.committed.size(), 2u);
  EXPECT_EQ(co1.committed[1].previousChain, chainAfter(encodeBatch(co1.committed[0])));
  EXPECT_EQ(co1.leadership->appended().index, LogIndex{2});
}

TEST_F(AppendTest, whatIsAppendedTogetherGoesInOneBatchAndTheHandlerHearsItFirst) {
  standAndLead(co1);
  auto one = append("one");
  auto two = append("two");
  auto three = append("three").then([&] { EXPECT_THAT(co1.committed, SizeIs(1)); });
  patience.await(kj::mv(one));
  patience.await(kj::mv(two));
  patience.await(kj::mv(three));
  ASSERT_THAT(co1.committed, SizeIs(1));
  EXPECT_THAT(co1.committed[0].commands, ElementsAre("one", "two", "three"));
}

TEST_F(AppendTest, aBatchIsCutAt64KibAndFourAreInFlight) {
  standAndLead(co1);
  size_t inFlightMax = 0;
  co1.session->fate = [&](const std::vector<Op>& ops) {
    if (isAppend(ops)) inFlightMax = std::max(inFlightMax, appendsAsked() - co1.committed.size());
    return Fate::PASS;
  };
  kj::Vector<kj::Promise<void>> all;
  for (int i = 0; i < 100; i++) all.add(append(std::string(10'000, 'x')));
  patience.await(kj::joinPromises(all.releaseAsArray()));
  EXPECT_EQ(inFlightMax, 4u);
  EXPECT_THAT(co1.committed, SizeIs(17));  // six commands of 10,000 bytes fit into 65,536
  for (const Batch& batch : co1.committed) EXPECT_LE(batch.commands.size(), 6u);
  EXPECT_THAT(wholeLog(), SizeIs(100));
}

// Pitfall 24.
TEST_F(AppendTest, aCommandOfTheGreatestSizeTravelsAloneAndAGreaterOneIsRefused) {
  standAndLead(co1);
  auto small = append("small");
  auto great = append(std::string(COMMAND_BYTES_MAX, 'g'));
  patience.await(kj::mv(small));
  patience.await(kj::mv(great));
  EXPECT_THAT(co1.committed, SizeIs(2));
  EXPECT_THAT(describeFailure([&] { (void)append(std::string(COMMAND_BYTES_MAX + 1, 'g')); }),
              HasSubstr("FAILED"));
  patience.await(append("goes on"));
}

TEST_F(AppendTest, theStateHashRidesInTheNextBatchOnly) {
  standAndLead(co1);
  co1.leadership->noteStateHash(StateHash{LogIndex{5}, Guid{1, 2}});
  patience.await(append("one"));
  patience.await(append("two"));
  ASSERT_TRUE(co1.committed[0].stateHash);
  EXPECT_EQ(co1.committed[0].stateHash->value, (Guid{1, 2}));
  EXPECT_FALSE(co1.committed[1].stateHash);
}

// ---- unknown outcomes

TEST_F(AppendTest, anAppendWhoseAnswerWasLostIsCommittedOnce) {
  standAndLead(co1);
  patience.await(append("zero"));
  co1.session->fate = once(Fate::LOSE_ANSWER, isAppend);
  patience.await(append("one"));
  patience.await(append("two"));
  EXPECT_THAT(wholeLog(), ElementsAre("zero", "one", "two"));
}

TEST_F(AppendTest, anAppendWhoseRequestWasLostIsSentAgainWithTheSameBytes) {
  standAndLead(co1);
  co1.session->fate = once(Fate::LOSE_REQUEST, isAppend);
  patience.await(append("one"));
  EXPECT_THAT(wholeLog(), ElementsAre("one"));
  std::vector<std::string> sent;
  for (const auto& ops : co1.session->asked) {
    if (isAppend(ops)) sent.push_back(ops[2].path + ops[2].data);
  }
  ASSERT_THAT(sent, SizeIs(2));
  EXPECT_EQ(sent[0], sent[1]);
}

TEST_F(AppendTest, fourInFlightWithMixedLossesLeaveNoHoleAndNoDouble) {
  AppendOptions options;
  options.batchBytesMax = Bytes{1};  // one command a batch
  standAndLead(co1, options);
  const Fate fates[] = {Fate::PASS, Fate::LOSE_ANSWER, Fate::LOSE_REQUEST, Fate::DELAY};
  for (int round = 0; round < 24; round++) {
    int n = round;
    co1.session->fate = [&, n](const std::vector<Op>& ops) mutable {
      return isAppend(ops) && n < round + 4 ? fates[(n++ * 7 + round) % 4] : Fate::PASS;
    };
    kj::Vector<kj::Promise<void>> all;
    for (int i = 0; i < 6; i++) all.add(append(std::to_string(round * 6 + i)));
    patience.await(kj::joinPromises(all.releaseAsArray()));
    co1.session->fate = nullptr;
    patience.await(
        co1.session
            ->deliverDelayed());  // old requests that come after all was resolved change nothing
  }
  auto log = wholeLog();
  ASSERT_THAT(log, SizeIs(144));
  for (size_t i = 0; i < log.size(); i++) EXPECT_EQ(log[i], std::to_string(i));
}

TEST_F(AppendTest, afterAnUnknownOutcomeNothingNewIsSent) {
  AppendOptions options;
  options.batchBytesMax = Bytes{1};
  standAndLead(co1, options);
  co1.session->fate = once(Fate::LOSE_REQUEST, isAppend, 3);
  auto first = append("first");
  ASSERT_TRUE(patience.until([&] { return appendsAsked() >= 1; }));
  auto second = append("second");
  patience.await(kj::mv(first));
  patience.await(kj::mv(second));
  std::vector<std::string> order;
  for (const auto& ops : co1.session->asked) {
    if (isAppend(ops)) order.push_back(ops[2].path.substr(ops[2].path.size() - 1));
  }
  EXPECT_THAT(order, ElementsAre("1", "1", "1", "1", "2"));
}

TEST_F(AppendTest, anotherBatchAtOurNameStopsTheLeader) {
  standAndLead(co1);
  patience.await(append("one"));
  auto intruder = connect();
  Batch foreign = co1.committed[0];
  foreign.number = BatchNumber{2};
  foreign.id = Guid{6, 6};
  EXPECT_EQ(create(*intruder, paths.batch(BatchNumber{2}), encodeBatch(foreign)), ZkCode::OK);
  auto refused = append("two");
  EXPECT_THAT(describeFailure([&] { patience.await(kj::mv(refused)); }), HasSubstr("DISCONNECTED"));
  EXPECT_EQ(awaitEnd(), LeadershipEnd::STORE_FAULT);
}

// A hole is never skipped: without the check of the predecessor it would be made here.
TEST_F(AppendTest, aMissingPredecessorStopsTheLeader) {
  standAndLead(co1);
  patience.await(append("one"));
  auto intruder = connect();
  patience.await(intruder->multi({removeOp(paths.batch(BatchNumber{1}))}));
  auto refused = append("two");
  EXPECT_THAT(describeFailure([&] { patience.await(kj::mv(refused)); }), HasSubstr("DISCONNECTED"));
  EXPECT_EQ(awaitEnd(), LeadershipEnd::STORE_FAULT);
  EXPECT_EQ(patience.await(intruder->list(paths.log())).children, std::vector<std::string>{});
}

// ---- fencing

TEST_F(AppendTest, aFencedLeaderCommitsNothingAndItsAttemptsAreCounted) {
  AppendOptions options;
  options.batchBytesMax = Bytes{1};
  standAndLead(co1, options);
  patience.await(append("before"));
  co1.session->readsHang = true;  // so that only the refusals tell it
  auto other = connect();
  auto epoch = patience.await(other->get(paths.epoch()));
  patience.await(other->multi({setOp(paths.epoch(), epoch.data, ANY_VERSION)}));
  kj::Vector<kj::Promise<void>> attempts;
  for (int i = 0; i < 10; i++) attempts.add(append("after " + std::to_string(i)));
  attempts.add(co1.leadership->barrier());
  for (auto& attempt : attempts) {
    EXPECT_THAT(describeFailure([&] { patience.await(kj::mv(attempt)); }),
                HasSubstr("DISCONNECTED"));
  }
  EXPECT_EQ(awaitEnd(), LeadershipEnd::FENCED);
  EXPECT_EQ(co1.leadership->fencedAttempts(), 11u);
  EXPECT_THAT(wholeLog(), ElementsAre("before"));

  size_t sent = co1.session->asked.size();
  EXPECT_THAT(describeFailure([&] { patience.await(append("much later")); }),
              HasSubstr("DISCONNECTED"));
  EXPECT_THAT(describeFailure([&] { patience.await(co1.leadership->barrier()); }),
              HasSubstr("DISCONNECTED"));
  EXPECT_EQ(co1.leadership->fencedAttempts(), 13u);
  EXPECT_EQ(co1.session->asked.size(), sent);  // after the end nothing is sent any more
}

TEST_F(AppendTest, aNewEpochSeenByTheWatchEndsAnIdleLeader) {
  standAndLead(co1);
  co1.session->fate = [](const std::vector<Op>& ops) {
    return isCheckOnly(ops) ? Fate::HANG : Fate::PASS;
  };
  auto other = connect();
  EpochView view = KJ_ASSERT_NONNULL(patience.await(readEpoch(*other, paths)));
  view.epoch = view.epoch.next();
  view.leader = CoordinatorId{"co9"};
  view.leaderGuid = Guid{9, 9};
  patience.await(other->multi({setOp(paths.epoch(), encodeEpoch(view, CLUSTER), ANY_VERSION)}));
  auto ended = patience.await(co1.leadership->ended());
  EXPECT_EQ(ended.why, LeadershipEnd::FENCED);
  EXPECT_THAT(ended.text, HasSubstr("co9"));
}

TEST_F(AppendTest, theEndOfTheSessionEndsTheLeadership) {
  standAndLead(co1);
  co1.session->close();
  EXPECT_EQ(awaitEnd(), LeadershipEnd::SESSION_ENDED);
  EXPECT_THAT(describeFailure([&] { patience.await(append("late")); }), HasSubstr("DISCONNECTED"));
}

TEST_F(AppendTest, droppingALeadershipRejectsWhoWaits) {
  standAndLead(co1);
  co1.session->fate = [](const std::vector<Op>& ops) {
    return isAppend(ops) ? Fate::HANG : Fate::PASS;
  };
  auto ended = co1.leadership->ended();
  auto waiting = append("one");
  co1.leadership = nullptr;
  EXPECT_THAT(describeFailure([&] { patience.await(kj::mv(waiting)); }), HasSubstr("DISCONNECTED"));
  EXPECT_EQ(patience.await(kj::mv(ended)).why, LeadershipEnd::SESSION_ENDED);
}

// A reader must hear that it may ask another, also when its check is never answered.
TEST_F(AppendTest, droppingALeadershipRejectsWhoWaitsForACheckUnderWay) {
  standAndLead(co1);
  size_t asked = co1.session->asked.size();
  co1.session->fate = [](const std::vector<Op>& ops) {
    return isCheckOnly(ops) ? Fate::HANG : Fate::PASS;
  };
  auto waiting = co1.leadership->barrier();
  ASSERT_TRUE(patience.until([&] { return co1.session->asked.size() > asked; }));
  co1.leadership = nullptr;
  EXPECT_THAT(describeFailure([&] { patience.await(kj::mv(waiting)); }), HasSubstr("DISCONNECTED"));
}

// ---- barriers

TEST_F(AppendTest, waitingBarriersShareOneCheckAndAnAppendServesAsOne) {
  standAndLead(co1);
  auto checks = [&] {
    return std::count_if(co1.session->asked.begin(), co1.session->asked.end(), isCheckOnly);
  };
  auto before = checks();
  kj::Vector<kj::Promise<void>> readers;
  for (int i = 0; i < 50; i++) readers.add(co1.leadership->barrier());
  patience.await(kj::joinPromises(readers.releaseAsArray()));
  EXPECT_LE(checks(), before + 2);  // one for all, and perhaps the one of an idle leader

  before = checks();
  auto appended = append("one");
  auto barrier = co1.leadership->barrier();
  patience.await(kj::mv(barrier));
  patience.await(kj::mv(appended));
  EXPECT_LE(checks(), before + 1);
}

// A barrier must rest on a multi that was sent after it was asked for.
TEST_F(AppendTest, aBarrierAskedWhileACheckIsUnderWayWaitsForTheNextOne) {
  standAndLead(co1);
  auto first = co1.leadership->barrier();
  ASSERT_TRUE(patience.until([&] { return isCheckOnly(co1.session->asked.back()); }));
  size_t asked = co1.session->asked.size();
  auto second = co1.leadership->barrier();
  patience.await(kj::mv(first));
  patience.await(kj::mv(second));
  EXPECT_GT(co1.session->asked.size(), asked);
}

TEST_F(AppendTest, aBarrierWhoseAnswerWasLostIsAskedAgain) {
  standAndLead(co1);
  co1.session->fate = once(Fate::LOSE_ANSWER, isCheckOnly, 2);
  patience.await(co1.leadership->barrier());
}

TEST_F(AppendTest, anIdleLeaderGoesOnCheckingItsEpoch) {
  standAndLead(co1);
  for (int i = 0; i < 5; i++) {
    SteadyTime before = co1.leadership->lastCommittedCheckSent();
    ASSERT_TRUE(patience.until([&] { return co1.leadership->lastCommittedCheckSent() > before; },
                               5 * kj::SECONDS));
    EXPECT_LE(co1.leadership->lastCommittedCheckSent(), co1.leadership->lastCheckCommitted());
    EXPECT_LE(co1.leadership->lastCheckCommitted(), clock.steadyNow());
  }
  EXPECT_THAT(wholeLog(), SizeIs(0));  // checks leave nothing behind
}

TEST_F(AppendTest, theBaseOfLeasesDoesNotAdvanceWithoutACommittedCheck) {
  standAndLead(co1);
  patience.await(co1.leadership->barrier());
  co1.session->fate = [](const std::vector<Op>&) { return Fate::LOSE_REQUEST; };
  size_t asked = co1.session->asked.size();
  SteadyTime base = co1.leadership->lastCommittedCheckSent();
  SteadyTime committed = co1.leadership->lastCheckCommitted();
  (void)append("unknown");
  ASSERT_TRUE(patience.until([&] { return co1.session->asked.size() >= asked + 5; }));
  EXPECT_EQ(co1.leadership->lastCommittedCheckSent(), base);
  EXPECT_EQ(co1.leadership->lastCheckCommitted(), committed);
}

// It was sent before everything stood still, and is no sign that this leader is cut off.
TEST_F(AppendTest, aCheckThatWasStuckIsAsNewAsItsAnswer) {
  standAndLead(co1);
  co1.session->fate = once(Fate::HOLD_ANSWER, isCheckOnly);
  auto checked = co1.leadership->barrier();
  ASSERT_TRUE(patience.until([&] { return co1.session->holdsAnswers(); }));
  SteadyTime released = clock.steadyNow();
  co1.session->releaseAnswers();
  patience.await(kj::mv(checked));
  EXPECT_LT(co1.leadership->lastCommittedCheckSent(), released);
  EXPECT_GE(co1.leadership->lastCheckCommitted(), released);
}

}  // namespace
}  // namespace muster::failover::append_test

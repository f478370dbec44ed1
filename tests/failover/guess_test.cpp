// Takeovers on a guess of death, over a real server: the old leader's candidate still stands.
#include "failover/election_rules.h"
#include "tests/failover/coordinators.h"

#include <gmock/gmock.h>

namespace muster::failover::guess_test {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;
using Fate = LossySession::Fate;

class GuessTest : public Coordinators<ZkTest> {
 protected:
  GuessTest() {
    bootstrapTree();
    co1 = coordinator("co1");
    standAndLead(co1);
    co2 = coordinator("co2");
    won2 = start(co2);
    EXPECT_TRUE(patience.until([&] { return candidates().size() == 2; }));
    co3 = coordinator("co3");
    won3 = start(co3);
    EXPECT_TRUE(patience.until([&] { return candidates().size() == 3; }));
    EXPECT_TRUE(patience.until([&] { return seenBy(co2) && seenBy(co3); }));
  }
  ~GuessTest() noexcept override {}

  struct Campaign {
    kj::Promise<void> task = nullptr;
    std::optional<Contender::Elected> won;
    std::optional<LeaderInLine> leader;
  };
  std::unique_ptr<Campaign> start(TestCoordinator& self) {
    auto campaign = std::make_unique<Campaign>();
    Campaign* raw = campaign.get();
    self.contender->onLeaderInLine([raw](const LeaderInLine& leader) { raw->leader = leader; });
    campaign->task = self.contender->campaign()
                         .then([raw](Contender::Elected&& elected) { raw->won = elected; },
                               [](kj::Exception&&) {})
                         .eagerlyEvaluate(nullptr);
    return campaign;
  }
  bool seenBy(TestCoordinator& self) {
    auto& campaign = &self == &co2 ? won2 : won3;
    return campaign->leader && campaign->leader->id.value == "co1";
  }
  EpochView epoch() {
    auto session = connect();
    return KJ_ASSERT_NONNULL(patience.await(readEpoch(*session, paths)));
  }
  static bool isTakeover(const std::vector<Op>& ops) {
    return !ops.empty() && ops[0].kind == OpKind::SET;
  }

  TestCoordinator co1, co2, co3;
  std::unique_ptr<Campaign> won2, won3;
};

TEST_F(GuessTest, theNextInLineTakesOverAtOnceAndFencesTheOldLeader) {
  patience.await(co1.leadership->append("one").committed);
  co2.session->asked.clear();
  co2.contender->guessDead(Epoch{1}, "co1 is gone");
  ASSERT_TRUE(patience.until([&] { return won2->won.has_value(); }));
  EXPECT_EQ(won2->won->reason, "co1 is gone");
  EXPECT_TRUE(won2->won->onGuess);
  EXPECT_EQ(won2->won->view.epoch, Epoch{2});
  EXPECT_THAT(co2.session->asked, SizeIs(1)) << "one multi and nothing else";

  auto old = co1.leadership->append("too late").committed;
  auto ended = patience.await(co1.leadership->ended());
  EXPECT_EQ(ended.why, LeadershipEnd::FENCED);
  EXPECT_TRUE(describeFailure([&] { patience.await(kj::mv(old)); }).starts_with("DISCONNECTED"));
  lead(co2, *won2->won);
  patience.await(co2.leadership->append("two").committed);
  EXPECT_THAT(wholeLog(), ElementsAre("one", "two"));
  EXPECT_THAT(candidates(), SizeIs(2)) << "the old leader's candidate went with the takeover";
}

TEST_F(GuessTest, othersActInTheirTurn) {
  auto before = loop.timer().now();
  co3.contender->guessDead(Epoch{1}, "co1 is gone");
  ASSERT_TRUE(patience.until([&] { return won3->won.has_value(); }));
  EXPECT_GE(loop.timer().now() - before, TURN_DELAY.nanos * kj::NANOSECONDS);
  EXPECT_EQ(epoch().leader.value, "co3");
}

TEST_F(GuessTest, aGuessOfBothHasOneWinner) {
  co3.contender->guessDead(Epoch{1}, "co1 is gone");
  co2.contender->guessDead(Epoch{1}, "co1 is gone");
  ASSERT_TRUE(patience.until([&] { return won2->won || won3->won; }));
  ASSERT_TRUE(patience.until([&] { return won3->leader && won3->leader->id.value == "co2"; }));
  EXPECT_TRUE(won2->won);
  EXPECT_FALSE(won3->won) << "the guess was about an epoch that is over";
  EXPECT_EQ(epoch().epoch, Epoch{2});
}

TEST_F(GuessTest, aGuessAboutAnotherEpochDoesNothing) {
  co2.contender->guessDead(Epoch{0}, "co1 is gone");
  co2.contender->guessDead(Epoch{2}, "co1 is gone");
  patience.await(co1.leadership->append("one").committed);
  EXPECT_TRUE(patience.await(co2.contender->proveCommit()));
  EXPECT_FALSE(won2->won);
  EXPECT_EQ(epoch().epoch, Epoch{1});
}

TEST_F(GuessTest, aLostAnswerIsResolvedByTheEpoch) {
  co2.session->fate = [lost = false](const std::vector<Op>& ops) mutable {
    if (!isTakeover(ops) || std::exchange(lost, true)) return Fate::PASS;
    return Fate::LOSE_ANSWER;
  };
  co2.contender->guessDead(Epoch{1}, "co1 is gone");
  ASSERT_TRUE(patience.until([&] { return won2->won.has_value(); }));
  EXPECT_EQ(epoch().epoch, Epoch{2});
  EXPECT_EQ(won2->won->reason, "co1 is gone");
  EXPECT_TRUE(won2->won->onGuess);
}

// The session ends between the guess and the takeover: nothing is left to delete.
TEST_F(GuessTest, aCandidateThatWentMeanwhileIsNoObstacle) {
  co2.session->fate = [first = true](const std::vector<Op>& ops) mutable {
    if (isTakeover(ops) && std::exchange(first, false)) return Fate::LOSE_REQUEST;
    return Fate::PASS;
  };
  co2.contender->guessDead(Epoch{1}, "co1 is gone");
  co1.drop();
  ASSERT_TRUE(patience.until([&] { return won2->won.has_value(); }));
  EXPECT_EQ(epoch().epoch, Epoch{2});
}

TEST_F(GuessTest, tellsWhoStandsAsLeaderByProcess) {
  ASSERT_TRUE(won2->leader);
  EXPECT_FALSE(won2->leader->incarnation.isNull());
  EXPECT_EQ(won2->leader, won3->leader);
  EXPECT_EQ(won2->leader->token.epoch, Epoch{1});
}

TEST_F(GuessTest, whoseSessionCannotCommitProvesNothing) {
  EXPECT_TRUE(patience.await(co2.contender->proveCommit()));
  co2.session->fate = [](const std::vector<Op>&) { return Fate::LOSE_REQUEST; };
  EXPECT_FALSE(patience.await(co2.contender->proveCommit()));
}

}  // namespace
}  // namespace muster::failover::guess_test

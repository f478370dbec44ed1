// Candidates, takeover, hand-over and bootstrap over a real server, with lost and late answers.
#include "failover/records.h"
#include "tests/failover/coordinators.h"

#include <gmock/gmock.h>

namespace muster::failover::election_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Fate = LossySession::Fate;

class BootstrapTest : public Coordinators<ZkTest> {
 protected:
  ~BootstrapTest() noexcept override {}
};

TEST_F(BootstrapTest, aTreeIsMadeOnceAndNeverAgain) {
  auto session = connect();
  EXPECT_EQ(patience.await(readEpoch(*session, paths)), nullptr);
  auto made = patience.await(bootstrap(*session, paths, CLUSTER, random));
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->number, 1u);
  auto again = patience.await(bootstrap(*session, paths, CLUSTER, random));
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.refusal().code, RefusalCode::ALREADY_RUNNING);
  EpochView view = KJ_ASSERT_NONNULL(patience.await(readEpoch(*session, paths)));
  EXPECT_EQ(view.history, *made);
  EXPECT_EQ(view.epoch, Epoch{0});
  EXPECT_EQ(view.leader.value, "");
}

TEST_F(BootstrapTest, aLostAnswerIsResolvedByTheGuidOfTheHistory) {
  LossySession session(connect());
  session.fate = once(Fate::LOSE_ANSWER, isBootstrap, 1);
  EXPECT_TRUE(patience.await(bootstrap(session, paths, CLUSTER, random)).ok());
}

TEST_F(BootstrapTest, aLostRequestIsSentAgain) {
  LossySession session(connect());
  session.fate = once(Fate::LOSE_REQUEST, isBootstrap, 2);
  EXPECT_TRUE(patience.await(bootstrap(session, paths, CLUSTER, random)).ok());
}

// No znode can be read without the cluster's digest.
TEST_F(BootstrapTest, everyNodeOfTheTreeIsClosedToOthers) {
  bootstrapTree();
  auto co1 = coordinator("co1");
  standAndLead(co1);
  patience.await(co1.leadership->append("one").committed);
  auto strangerOptions = options();
  strangerOptions.digest = "muster:guess";
  auto stranger = connect(strangerOptions);
  std::vector<std::string> nodes = {paths.root,
                                    paths.epoch(),
                                    paths.candidates(),
                                    paths.log(),
                                    paths.snapshot(),
                                    paths.batch(BatchNumber{1}),
                                    paths.candidates() + "/" + candidates().at(0)};
  for (const std::string& node : nodes) {
    EXPECT_EQ(patience.await(stranger->get(node)).code, ZkCode::NO_AUTH) << node;
    EXPECT_EQ(patience.await(stranger->multi({setOp(node, "", ANY_VERSION)})).code, ZkCode::NO_AUTH)
        << node;
    EXPECT_EQ(create(*stranger, node + "/x"), ZkCode::NO_AUTH) << node;
  }
  auto refused =
      patience.await(bootstrap(*stranger, Paths(ClusterName{"test/epoch"}), CLUSTER, random));
  EXPECT_EQ(refused.refusal().code, RefusalCode::NOT_ALLOWED);
}

class ElectionTest : public Coordinators<ZkTest> {
 protected:
  ElectionTest() { bootstrapTree(); }
  ~ElectionTest() noexcept override {}

  // A campaign under way whose end is kept.
  struct Campaign {
    kj::Promise<void> task = nullptr;
    std::optional<Contender::Elected> won;
    std::string failure;
  };
  std::unique_ptr<Campaign> start(TestCoordinator& self) {
    auto campaign = std::make_unique<Campaign>();
    Campaign* raw = campaign.get();
    campaign->task =
        self.contender->campaign()
            .then([raw](Contender::Elected&& elected) { raw->won = elected; },
                  [raw](kj::Exception&& e) { raw->failure = e.getDescription().cStr(); })
            .eagerlyEvaluate(nullptr);
    return campaign;
  }
  bool standing(size_t count) {
    return patience.until([&] { return candidates().size() == count; });
  }
  EpochView epoch() {
    auto session = connect();
    return KJ_ASSERT_NONNULL(patience.await(readEpoch(*session, paths)));
  }
};

TEST_F(ElectionTest, theNextInLineTakesOverWhenTheLeadersSessionEnds) {
  auto co1 = coordinator("co1");
  standAndLead(co1);
  auto co2 = coordinator("co2");
  auto campaign2 = start(co2);
  ASSERT_TRUE(standing(2));
  auto co3 = coordinator("co3");
  auto campaign3 = start(co3);
  ASSERT_TRUE(standing(3));
  patience.await(co1.leadership->append("one").committed);

  co1.drop();
  ASSERT_TRUE(patience.until([&] { return campaign2->won.has_value(); }));
  EXPECT_FALSE(campaign3->won);
  EXPECT_EQ(campaign2->won->reason, "session of co1 ended");
  EXPECT_EQ(campaign2->won->view.epoch, Epoch{2});
  lead(co2, *campaign2->won);
  patience.await(co2.leadership->append("two").committed);

  co2.drop();
  ASSERT_TRUE(patience.until([&] { return campaign3->won.has_value(); }));
  EXPECT_EQ(campaign3->won->reason, "session of co2 ended");
  lead(co3, *campaign3->won);
  patience.await(co3.leadership->append("three").committed);
  EXPECT_EQ(epoch().epoch, Epoch{3});
  EXPECT_EQ(epoch().leader.value, "co3");
  EXPECT_EQ(epoch().leaderAddress, "co3:7401");
  EXPECT_THAT(wholeLog(), ElementsAre("one", "two", "three"));
}

TEST_F(ElectionTest, everyoneHearsEachChangeOfTheEpoch) {
  auto watcher = coordinator("co9");
  std::vector<uint64_t> heard;
  watcher.contender->onView([&](const EpochView& view) { heard.push_back(view.epoch.value); });
  for (const char* id : {"co1", "co2"}) {
    auto leader = coordinator(id);
    standAndLead(leader);
    ASSERT_TRUE(patience.until([&] {
      return watcher.contender->view() != nullptr &&
             KJ_ASSERT_NONNULL(watcher.contender->view()).leader.value == id;
    }));
  }
  EXPECT_THAT(heard, ElementsAre(0, 1, 2));
}

// One winner and nothing in between, however the line looks.
TEST_F(ElectionTest, aTakeoverRaceHasOneWinner) {
  for (uint64_t round = 1; round <= 5; round++) {
    auto co1 = coordinator("co1");
    auto co2 = coordinator("co2");
    auto co3 = coordinator("co3");
    std::unique_ptr<Campaign> all[] = {start(co1), start(co2), start(co3)};
    auto winners = [&] {
      return std::count_if(std::begin(all), std::end(all),
                           [](auto& campaign) { return campaign->won.has_value(); });
    };
    ASSERT_TRUE(patience.until([&] { return winners() > 0; }));
    ASSERT_TRUE(standing(3));
    EXPECT_EQ(winners(), 1);
    EXPECT_EQ(epoch().epoch, Epoch{round});
  }
}

// Pitfall 1: the reply of the creation is lost; a blind retry would leave a ghost that later wins.
TEST_F(ElectionTest, aCandidateWhoseCreationWasNotAnsweredIsAdopted) {
  auto co1 = coordinator("co1");
  co1.session->fate = once(Fate::LOSE_ANSWER, isCandidacy);
  standAndLead(co1);
  EXPECT_THAT(candidates(), SizeIs(1));
}

TEST_F(ElectionTest, aCandidateWhoseCreationComesLateIsRemovedAsADouble) {
  auto leader = coordinator("co0");
  standAndLead(leader);
  auto co1 = coordinator("co1");
  co1.session->fate = once(Fate::DELAY, isCandidacy);
  auto campaign = start(co1);
  ASSERT_TRUE(standing(2));
  patience.await(co1.session->deliverDelayed());
  leader.drop();
  ASSERT_TRUE(patience.until([&] { return campaign->won.has_value(); }));
  EXPECT_TRUE(standing(1));
  auto removed =
      std::count_if(co1.session->asked.begin(), co1.session->asked.end(),
                    [](const auto& ops) { return has(ops, OpKind::REMOVE, "/candidates/"); });
  EXPECT_GE(removed, 1);  // the double was there
}

// Pitfall 3: a node with our guid that another session owns vanishes a moment later; it must not
// make us leader.
TEST_F(ElectionTest, aCandidateOfAnotherSessionIsNotOurs) {
  auto co1 = coordinator("co1");
  auto oldSession = connect(options(4_s));
  kj::Promise<void> byOther = nullptr;
  bool taken = false;
  co1.session->fate = [&](const std::vector<Op>& ops) {
    bool first = isCandidacy(ops) && !taken;
    if (!first) return Fate::PASS;
    taken = true;
    byOther = oldSession->multi(ops).ignoreResult();
    return Fate::LOSE_REQUEST;  // as far as we know, it may be ours
  };
  standAndLead(co1);
  EXPECT_EQ(std::count_if(co1.session->asked.begin(), co1.session->asked.end(), isCandidacy), 2);
  EXPECT_EQ(epoch().leaderSession, co1.session->sessionId());
  oldSession = nullptr;  // the ghost goes, the leader and its candidate stay
  patience.await(co1.leadership->append("one").committed);
  ASSERT_TRUE(standing(1));
  auto session = connect();
  auto node = patience.await(session->get(paths.candidates() + "/" + candidates().at(0)));
  EXPECT_EQ(node.stat.ephemeralOwner, co1.session->sessionId());
}

// Pitfall 3: `epoch` names our guid, but with the session we had before.
TEST_F(ElectionTest, anEpochOfOurOldSessionDoesNotMakeUsLeader) {
  auto leader = coordinator("co0");
  standAndLead(leader);
  auto co1 = coordinator("co1");
  auto campaign = start(co1);
  ASSERT_TRUE(standing(2));
  EpochView view = epoch();
  auto session = connect();
  for (const std::string& name : candidates()) {
    auto node = patience.await(session->get(paths.candidates() + "/" + name));
    CandidateInfo info = decodeCandidate(node.data);
    if (info.coordinator.value == "co1") view.leaderGuid = info.guid;
  }
  view.epoch = view.epoch.next();
  view.leader = CoordinatorId{"co1"};
  view.leaderSession = co1.session->sessionId() + 1;
  patience.await(session->multi({setOp(paths.epoch(), encodeEpoch(view, CLUSTER), ANY_VERSION)}));
  ASSERT_TRUE(
      patience.until([&] { return KJ_ASSERT_NONNULL(co1.contender->view()).epoch == view.epoch; }));
  patience.await(co1.session->get("/"));
  EXPECT_FALSE(campaign->won);
}

TEST_F(ElectionTest, aTakeoverWhoseAnswerWasLostIsFoundInTheEpoch) {
  auto co1 = coordinator("co1");
  co1.session->fate = once(Fate::LOSE_ANSWER, isTakeover);
  standAndLead(co1);
  EXPECT_EQ(co1.leadership->epoch(), Epoch{1});
  EXPECT_EQ(co1.reason, "first leader");
  patience.await(co1.leadership->append("one").committed);
}

TEST_F(ElectionTest, aTakeoverThatComesLateIsFoundByTheWatch) {
  auto co1 = coordinator("co1");
  co1.session->fate = once(Fate::DELAY, isTakeover, 1000);
  auto campaign = start(co1);
  ASSERT_TRUE(patience.until([&] {
    return std::count_if(co1.session->asked.begin(), co1.session->asked.end(), isTakeover) > 2;
  }));
  EXPECT_FALSE(campaign->won);
  patience.await(co1.session->deliverDelayed());
  ASSERT_TRUE(patience.until([&] { return campaign->won.has_value(); }));
  EXPECT_EQ(campaign->won->view.epoch, Epoch{1});  // the first of them counted, the others failed
}

TEST_F(ElectionTest, aRemovedCandidateStandsAgainAtTheEndOfTheLine) {
  auto leader = coordinator("co0");
  standAndLead(leader);
  auto co1 = coordinator("co1");
  auto campaign1 = start(co1);
  ASSERT_TRUE(standing(2));
  auto names = candidates();
  std::sort(names.begin(), names.end(),
            [](auto& a, auto& b) { return a.substr(35) < b.substr(35); });
  auto co2 = coordinator("co2");
  auto campaign2 = start(co2);
  ASSERT_TRUE(standing(3));
  auto session = connect();
  patience.await(session->multi({removeOp(paths.candidates() + "/" + names[1])}));
  ASSERT_TRUE(standing(3));
  leader.drop();
  ASSERT_TRUE(patience.until([&] { return campaign2->won.has_value(); }));
  EXPECT_FALSE(campaign1->won);
}

// Pitfall 23: a server goes on showing an ephemeral of a closed session, and no watch ever fires.
TEST_F(ElectionTest, aGhostOfTheLeaderIsFoundByAWriteAndIgnored) {
  auto leader = coordinator("co0");
  standAndLead(leader);
  auto co1 = coordinator("co1");
  co1.session->listedGhosts = candidates();
  auto campaign = start(co1);
  ASSERT_TRUE(standing(2));
  leader.drop();
  ASSERT_TRUE(patience.until([&] { return campaign->won.has_value(); }, 15 * kj::SECONDS));
  EXPECT_EQ(campaign->won->view.epoch, Epoch{2});
}

TEST_F(ElectionTest, theEndOfTheSessionEndsTheCampaign) {
  auto leader = coordinator("co0");
  standAndLead(leader);
  auto co1 = coordinator("co1");
  auto campaign = start(co1);
  ASSERT_TRUE(standing(2));
  co1.session->close();
  ASSERT_TRUE(patience.until([&] { return !campaign->failure.empty(); }));
  EXPECT_THAT(campaign->failure, HasSubstr("session ended"));
}

// Pitfalls 9 and 19: nobody watches more than `epoch`, the leader's candidate and its own, and
// nothing piles up.
TEST_F(ElectionTest, watchesStayBounded) {
  auto co1 = coordinator("co1");
  auto campaign1 = start(co1);
  ASSERT_TRUE(patience.until([&] { return campaign1->won.has_value(); }));
  for (int round = 0; round < 10; round++) {
    auto other = coordinator("co2");
    auto campaign = start(other);
    ASSERT_TRUE(standing(2));
    EXPECT_LE(other.session->health().watches, 3u);
  }
  EXPECT_LE(co1.session->health().watches, 3u);
}

// ---- hand-over

class HandOverTest : public ElectionTest {
 protected:
  HandOverTest() {
    co1 = coordinator("co1");
    standAndLead(co1);
    co2 = coordinator("co2");
    campaign2 = start(co2);
    EXPECT_TRUE(standing(2));
    co3 = coordinator("co3");
    campaign3 = start(co3);
    EXPECT_TRUE(standing(3));
  }
  ~HandOverTest() noexcept override {}

  static void mayNotPause() { ADD_FAILURE() << "there is nobody to pause for"; }

  TestCoordinator co1, co2, co3;
  std::unique_ptr<Campaign> campaign2, campaign3;
};

TEST_F(HandOverTest, theNamedSuccessorLeadsAndWhatWasAppendedBeforeIsCommitted) {
  auto before = co1.leadership->append("before").committed;
  kj::Promise<void> after = kj::NEVER_DONE;
  auto handed = co1.leadership->handOver(
      CoordinatorId{"co3"}, [&] { after = co1.leadership->append("after").committed; });
  patience.await(kj::mv(before));
  EXPECT_TRUE(patience.await(kj::mv(handed)));
  EXPECT_THAT(describeFailure([&] { patience.await(kj::mv(after)); }), HasSubstr("DISCONNECTED"));
  EXPECT_EQ(patience.await(co1.leadership->ended()).why, LeadershipEnd::HANDED_OVER);
  ASSERT_TRUE(patience.until([&] { return campaign3->won.has_value(); }));
  EXPECT_EQ(campaign3->won->reason, "handed over by co1");
  lead(co3, *campaign3->won);
  patience.await(co3.leadership->append("next").committed);
  EXPECT_THAT(wholeLog(), ElementsAre("before", "next"));
  EXPECT_TRUE(standing(2));  // the old leader's candidate is gone
  EXPECT_FALSE(campaign2->won);
}

// Its reads stand behind the look that finds the epoch handed to it.
TEST_F(HandOverTest, whatTheSuccessorReadsMeanwhileIsOfItsOwnEpoch) {
  kj::Promise<GetResult> read = nullptr;
  co2.contender->onMayBeElected([&] { read = co2.session->get(paths.epoch()); });
  EXPECT_TRUE(patience.await(co1.leadership->handOver(CoordinatorId{"co2"}, [] {})));
  ASSERT_TRUE(patience.until([&] { return campaign2->won.has_value(); }));
  GetResult got = patience.await(kj::mv(read));
  EXPECT_EQ(decodeEpoch(got.data, got.stat.version), campaign2->won->view);
}

TEST_F(ElectionTest, whatIsReadBehindATakeoverIsOfItsOwnEpoch) {
  auto co1 = coordinator("co1");
  kj::Promise<GetResult> read = nullptr;
  co1.contender->onMayBeElected([&] { read = co1.session->get(paths.epoch()); });
  auto won = patience.await(co1.contender->campaign());
  GetResult got = patience.await(kj::mv(read));
  EXPECT_EQ(decodeEpoch(got.data, got.stat.version), won.view);
}

TEST_F(HandOverTest, withoutANameTheNextInLineLeads) {
  EXPECT_TRUE(patience.await(co1.leadership->handOver(CoordinatorId{}, [] {})));
  ASSERT_TRUE(patience.until([&] { return campaign2->won.has_value(); }));
}

// Looking for the successor costs several round trips.
TEST_F(HandOverTest, whatIsAppendedWhileTheSuccessorIsLookedForIsCommitted) {
  bool pausing = false;
  auto handed = co1.leadership->handOver(CoordinatorId{"co2"}, [&] { pausing = true; });
  auto meanwhile = co1.leadership->append("meanwhile").committed;
  EXPECT_FALSE(pausing);
  patience.await(kj::mv(meanwhile));
  EXPECT_TRUE(patience.await(kj::mv(handed)));
  EXPECT_TRUE(pausing);
  EXPECT_THAT(wholeLog(), ElementsAre("meanwhile"));
}

TEST_F(HandOverTest, withoutSuchACandidateTheLeadershipGoesOn) {
  auto waiting = co1.leadership->handOver(CoordinatorId{"co7"}, mayNotPause);
  auto meanwhile = co1.leadership->append("meanwhile").committed;
  EXPECT_FALSE(patience.await(kj::mv(waiting)));
  patience.await(kj::mv(meanwhile));
  patience.await(co1.leadership->barrier());
  EXPECT_THAT(wholeLog(), ElementsAre("meanwhile"));
}

TEST_F(HandOverTest, aLostAnswerIsResolvedByTheEpoch) {
  co1.session->fate = once(Fate::LOSE_ANSWER, isTakeover);
  EXPECT_TRUE(patience.await(co1.leadership->handOver(CoordinatorId{"co2"}, [] {})));
  ASSERT_TRUE(patience.until([&] { return campaign2->won.has_value(); }));
  EXPECT_EQ(epoch().epoch, Epoch{2});
}

TEST_F(HandOverTest, aLostRequestIsSentAgain) {
  co1.session->fate = once(Fate::LOSE_REQUEST, isTakeover, 2);
  EXPECT_TRUE(patience.await(co1.leadership->handOver(CoordinatorId{"co2"}, [] {})));
  EXPECT_EQ(epoch().epoch, Epoch{2});
}

TEST_F(HandOverTest, anUnansweredAppendIsResolvedFirst) {
  co1.session->fate = once(Fate::LOSE_ANSWER, isAppend);
  auto appended = co1.leadership->append("one").committed;
  EXPECT_TRUE(patience.await(co1.leadership->handOver(CoordinatorId{"co2"}, [] {})));
  patience.await(kj::mv(appended));
  EXPECT_THAT(wholeLog(), ElementsAre("one"));
}

TEST_F(HandOverTest, aFencedLeaderCannotHandOver) {
  co1.session->readsHang = true;
  auto session = connect();
  auto data = patience.await(session->get(paths.epoch())).data;
  patience.await(session->multi({setOp(paths.epoch(), data, ANY_VERSION)}));
  co1.session->readsHang = false;
  EXPECT_FALSE(patience.await(co1.leadership->handOver(CoordinatorId{"co2"}, [] {})));
  EXPECT_EQ(patience.await(co1.leadership->ended()).why, LeadershipEnd::FENCED);
}

}  // namespace
}  // namespace muster::failover::election_test

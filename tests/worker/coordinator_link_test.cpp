// Links to fake coordinators over real TLS: attach, heartbeats, reconnecting, whom to believe.
#include "tests/worker/agent_fixture.h"

#include <gmock/gmock.h>

#include <algorithm>

namespace muster::worker::coordinator_link_test {
namespace {

class CoordinatorLinkTest : public AgentFixture {};

TEST_F(CoordinatorLinkTest, attachesAsItsNodeAndBeats) {
  auto leader = coordinator("co1");
  ranks_.said = {reportOf(0, ReplicaPhase::READY)};
  auto agent = start({leader->address()});
  until([&] { return leader->reports.size() >= 3; });
  EXPECT_EQ(leader->peers.at(0).identity, (PeerIdentity{Role::WORKER, "w1"}));
  const WorkerHello& hello = leader->hellos.at(0);
  EXPECT_EQ(hello.cluster, "test");
  EXPECT_EQ(hello.node.name.value, "w1");
  EXPECT_FALSE(hello.incarnation.isNull());
  EXPECT_EQ(hello.ranks, ranks_.said);
  EXPECT_EQ(leader->reports[0].ranks, ranks_.said);
  EXPECT_LT(leader->reports[0].sequence, leader->reports[1].sequence);
  LinkStatus link = agent->status().links.at(0);
  EXPECT_EQ(link.state, LinkState::ATTACHED);
  EXPECT_EQ(link.coordinator, "co1");
  EXPECT_TRUE(link.leading);
}

TEST_F(CoordinatorLinkTest, aChangeIsToldAtOnce) {
  auto leader = coordinator("co1");
  leader->answers.heartbeat = 5_s;
  auto agent = start({leader->address()});
  until([&] { return leader->reports.size() == 1; });
  SteadyTime before = clock_.steadyNow();
  ranks_.say({reportOf(0, ReplicaPhase::JOINING)});
  until([&] { return leader->reports.size() == 2; });
  EXPECT_LT((clock_.steadyNow() - before).nanos, (4_s).nanos) << "it waited for the interval";
  EXPECT_EQ(leader->reports[1].ranks, ranks_.said);
}

TEST_F(CoordinatorLinkTest, tellsOnlyWhatHasChangedToACoordinatorThatKeepsTheRest) {
  auto leader = coordinator("co1");
  leader->answers.keeps = true;
  ranks_.said = {reportOf(0, ReplicaPhase::READY), reportOf(1, ReplicaPhase::LOADING)};
  auto agent = start({leader->address()});
  until([&] { return leader->changes.size() >= 2; });
  ASSERT_EQ(leader->reports.size(), 1u);
  uint64_t first = leader->reports[0].sequence;
  EXPECT_EQ(leader->changes[0], (ReportChange{.sequence = first + 1, .base = first}));

  auto ready = reportOf(1, ReplicaPhase::READY);
  ranks_.say({ranks_.said[0], ready});
  auto tells = [&](const ReportChange& change) { return !change.ranks.empty(); };
  until([&] { return std::ranges::any_of(leader->changes, tells); });
  auto told = std::ranges::find_if(leader->changes, tells);
  EXPECT_EQ(told->ranks, (std::vector<RankReport>{ready}));
  until([&] { return leader->changes.back().sequence > told->sequence; });
  EXPECT_TRUE(leader->changes.back().ranks.empty()) << "once is enough";
}

TEST_F(CoordinatorLinkTest, tellsEverythingWhenTheCoordinatorKeepsNothingAnyMore) {
  auto leader = coordinator("co1");
  leader->answers.keeps = true;
  ranks_.said = {reportOf(0, ReplicaPhase::READY)};
  auto agent = start({leader->address()});
  until([&] { return !leader->changes.empty(); });
  leader->answers.keeps = false;  // as one does that has met a base it does not know
  until([&] { return leader->reports.size() >= 3; });
  EXPECT_EQ(leader->reports.back().ranks, ranks_.said);
}

TEST_F(CoordinatorLinkTest, tellsEverythingOverANewConnection) {
  auto leader = coordinator("co1");
  leader->answers.keeps = true;
  ranks_.said = {reportOf(0, ReplicaPhase::READY)};
  auto agent = start({leader->address()});
  until([&] { return !leader->changes.empty(); });
  ASSERT_EQ(leader->reports.size(), 1u);
  leader->stop();
  within(leader->start());
  until([&] { return leader->reports.size() == 2; });
  EXPECT_EQ(leader->reports.back().ranks, ranks_.said);
}

TEST_F(CoordinatorLinkTest, beatsAsOftenAsTheLastAnswerAsks) {
  auto leader = coordinator("co1");
  auto standby = coordinator("co2");
  standby->answers.leading = false;
  standby->answers.next = 5_s;
  auto agent = start({leader->address(), standby->address()});
  until([&] { return standby->reports.size() == 1; });
  size_t before = leader->reports.size();
  ranks_.say({reportOf(0, ReplicaPhase::LOADING)});
  until([&] { return leader->reports.size() >= before + 5; });
  EXPECT_EQ(standby->reports.size(), 1u) << "a change means nothing to a standby";
  leader->stop();
  standby->answers.next = 10_ms;
  standby->answers.leading = true;
  standby->answers.token = tokenOf(7);
  standby->tellNews();
  until([&] { return standby->reports.size() >= 4; });
  EXPECT_EQ(standby->reports.back().ranks, ranks_.said);
}

TEST_F(CoordinatorLinkTest, aNewLeaderThatTellsIsBeatenToAtOnce) {
  auto standby = coordinator("co1");
  standby->answers.leading = false;
  standby->answers.heartbeat = 5_s;
  auto agent = start({standby->address()});
  until([&] { return standby->reports.size() == 1; });
  SteadyTime before = clock_.steadyNow();
  standby->answers.leading = true;
  standby->answers.token = tokenOf(7);
  standby->tellNews();
  until([&] { return standby->reports.size() == 2; });
  EXPECT_LT((clock_.steadyNow() - before).nanos, (4_s).nanos) << "it waited for the interval";
  EXPECT_TRUE(agent->status().links[0].leading);
}

TEST_F(CoordinatorLinkTest, comesBackToACoordinatorThatWasRestarted) {
  auto leader = coordinator("co1");
  auto agent = start({leader->address()});
  until([&] { return leader->reports.size() >= 2; });
  leader->stop();
  until([&] { return agent->status().links[0].state != LinkState::ATTACHED; });
  within(leader->start());
  until([&] { return leader->hellos.size() == 2; });
  until([&] { return agent->status().links[0].state == LinkState::ATTACHED; });
  EXPECT_EQ(leader->hellos[1].incarnation, leader->hellos[0].incarnation);
}

TEST_F(CoordinatorLinkTest, leavesACoordinatorThatDoesNotAnswer) {
  auto leader = coordinator("co1");
  leader->answers.silent = true;
  auto agent = start({leader->address()});
  until([&] { return leader->hellos.size() == 2; });
  EXPECT_GE(linesWith("took longer than 300ms"), 1u);
}

TEST_F(CoordinatorLinkTest, triesUntilSomebodyListensAndSaysOnceWhyItWaits) {
  auto leader = coordinator("co1");
  leader->stop();
  auto agent = start({leader->address()});
  until([&] { return agent->status().links[0].attempts >= 5; });
  EXPECT_EQ(linesWith("cannot attach"), 1u);
  within(leader->start());
  until([&] { return agent->status().links[0].state == LinkState::ATTACHED; });
}

TEST_F(CoordinatorLinkTest, doesNotHurryBackWhileAnotherCoordinatorLeads) {
  auto leader = coordinator("co1");
  auto gone = coordinator("co2");
  gone->stop();
  unhurried_ = {1_min, 1_min};
  auto agent = start({leader->address(), gone->address()});
  until([&] { return agent->status().links[0].leading; });
  uint64_t attempts = agent->status().links[1].attempts;
  size_t beats = leader->reports.size();
  until([&] { return leader->reports.size() >= beats + 10; });
  EXPECT_LE(agent->status().links[1].attempts, attempts + 1);
  leader->stop();  // from now on each may be the one that leads
  until([&] { return agent->status().links[0].attempts >= 5; });
}

TEST_F(CoordinatorLinkTest, doesNotHurryBackToOneThatIsGoneWhileAnotherWillTellWhoLeads) {
  auto standby = coordinator("co1");
  standby->answers.leading = false;
  auto gone = coordinator("co2");
  unhurried_ = {10_min, 10_min};
  ledLook_ = 10_min;
  auto agent = start({standby->address(), gone->address()});
  auto isAttached = [&](size_t link) {
    return agent->status().links[link].state == LinkState::ATTACHED;
  };
  until([&] { return isAttached(0) && isAttached(1); });
  uint64_t attempts = agent->status().links[1].attempts;
  gone->stop();
  until([&] { return agent->status().links[1].attempts == attempts + 1; });
  size_t beats = standby->reports.size();
  until([&] { return standby->reports.size() >= beats + 10; });
  EXPECT_EQ(agent->status().links[1].attempts, attempts + 1);
}

TEST_F(CoordinatorLinkTest, hurriesBackOnceNobodyHasLedForAWhile) {
  auto leader = coordinator("co1");
  auto gone = coordinator("co2");
  gone->stop();
  unhurried_ = {10_min, 10_min};
  auto agent = start({leader->address(), gone->address()});
  until([&] { return agent->status().links[0].leading; });
  uint64_t attempts = agent->status().links[1].attempts;
  leader->answers.leading = false;
  until([&] { return agent->status().links[1].attempts >= attempts + 3; });
}

TEST_F(CoordinatorLinkTest, aStandbyAndADeposedLeaderGiveNoLease) {
  auto deposed = coordinator("co1");
  auto leader = coordinator("co2");
  deposed->answers.token = tokenOf(3);
  leader->answers.token = tokenOf(4);
  leader->answers.leading = false;
  auto agent = start({leader->address()});
  until([&] { return leader->reports.size() >= 2; });
  EXPECT_EQ(agent->status().lease, LeaseState::NONE_YET) << "a standby";
  agent = start({leader->address(), deposed->address()});
  until([&] { return deposed->reports.size() >= 3; });
  AgentStatus status = agent->status();
  EXPECT_EQ(status.token, tokenOf(4));
  EXPECT_EQ(status.lease, LeaseState::NONE_YET) << "epoch 3 leads nobody who has seen epoch 4";
  EXPECT_EQ(status.links[1].state, LinkState::ATTACHED);
  EXPECT_FALSE(status.links[1].leading);
}

TEST_F(CoordinatorLinkTest, learnsANewLeaderByTheConnectionsItHas) {
  auto first = coordinator("co1");
  auto second = coordinator("co2");
  second->answers.leading = false;
  auto agent = start({first->address(), second->address()});
  until([&] { return agent->status().links[0].leading && !second->reports.empty(); });
  first->stop();
  second->answers.token = tokenOf(2);
  second->answers.leading = true;
  until([&] { return agent->status().links[1].leading; });
  EXPECT_EQ(second->hellos.size(), 1u) << "no new connection was needed";
  EXPECT_EQ(agent->status().token, tokenOf(2));
}

TEST_F(CoordinatorLinkTest, saysLoudlyThatItIsRefusedAndGoesOnSlowly) {
  auto leader = coordinator("co1");
  leader->answers.refusal = Refusal{RefusalCode::HISTORY_MISMATCH, "this is cluster other"};
  auto agent = start({leader->address()});
  until([&] { return leader->hellos.size() >= 2; });
  EXPECT_EQ(linesWith("this is cluster other"), 1u);
  EXPECT_THAT(agent->status().links[0].problem, testing::HasSubstr("E0704"));
  leader->answers.refusal.reset();
  until([&] { return agent->status().links[0].state == LinkState::ATTACHED; });
  EXPECT_EQ(agent->status().links[0].problem, "");
}

TEST_F(CoordinatorLinkTest, refusesACoordinatorOfAnotherHistoryOfTheSameNumber) {
  auto ours = coordinator("co1");
  auto agent = start({ours->address()});
  until([&] { return agent->status().token == tokenOf(1); });
  ours->answers.token = {{1, {9, 9}}, {50}};
  until([&] { return agent->status().links[0].state != LinkState::ATTACHED; });
  until([&] { return ours->hellos.size() >= 2; });
  EXPECT_EQ(agent->status().token, tokenOf(1)) << "never taken";
  EXPECT_THAT(agent->status().links[0].problem, testing::HasSubstr("two clusters were mixed up"));
}

TEST_F(CoordinatorLinkTest, aServerOfAnotherAuthorityGetsNoHello) {
  TemporaryFolder other;
  createCa(other.path(), CLUSTER);
  auto files = issueCertificate(
      other.path(), {.identity = {Role::COORDINATOR, "co1"}, .cluster = CLUSTER}, other.path());
  FakeCoordinator stranger(loop_.timer(),
                           makeTlsTransport(loop_.network(), loop_.timer(), CLUSTER, files));
  within(stranger.start());
  auto agent = start({stranger.address()});
  until([&] { return agent->status().links[0].state == LinkState::WAITING; });
  EXPECT_TRUE(stranger.hellos.empty());
  EXPECT_EQ(linesWith("error"), 1u) << "told as an error, once";
}

}  // namespace
}  // namespace muster::worker::coordinator_link_test

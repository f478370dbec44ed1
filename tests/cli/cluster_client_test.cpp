#include "cli/cluster_client.h"

#include "tests/cli/fake_coordinators.h"

#include <gtest/gtest.h>

namespace muster::cli::cluster_client_test {
namespace {

using Kind = FakeAnswer::Kind;

class ClusterClientTest : public testing::Test {
 public:
  ClusterClientTest() {
    createCa(folder.path(), FAKE_CLUSTER);
    for (const char* id : {"co1", "co2", "co3"}) {
      coordinators.push_back(kj::heap<FakeCoordinator>(loop, folder.path(), id));
    }
    transport = human(folder.path());
  }
  ~ClusterClientTest() noexcept override = default;

 protected:
  kj::Own<Transport> human(const std::string& authority) {
    auto files = issueCertificate(
        authority, {.identity = {Role::ADMIN, "anna"}, .cluster = FAKE_CLUSTER}, authority);
    return makeTlsTransport(loop.network(), loop.timer(), FAKE_CLUSTER, files);
  }
  FakeCoordinator& at(size_t i) { return *coordinators[i]; }
  void lead(size_t i, uint64_t epoch) {
    for (auto& one : coordinators) one->facts.stage = Stage::STANDBY;
    at(i).facts.stage = Stage::SERVING;
    at(i).facts.epoch = {epoch};
  }
  ClusterClientOptions options(Duration timeout = 20_s) {
    return {.coordinators = {at(0).address(), at(1).address(), at(2).address()},
            .timeout = timeout};
  }
  Result<Answer> ask(ClusterCall call, ClusterClientOptions options) {
    ClusterClient client(*transport, loop.timer(), random, std::move(options));
    return ask(client, std::move(call));
  }
  Result<Answer> ask(ClusterClient& client, ClusterCall call) {
    kj::Promise<Result<Answer>> answer = client.call(std::move(call));
    return loop.timer().timeoutAfter(30 * kj::SECONDS, kj::mv(answer)).wait(loop.waitScope());
  }

  TemporaryFolder folder;
  EventLoop loop;
  SeededRandom random{7};
  std::vector<kj::Own<FakeCoordinator>> coordinators;
  kj::Own<Transport> transport;
  kj::Promise<void> changing = nullptr;
  uint32_t hellosBefore = 0;
};

TEST_F(ClusterClientTest, asksTheOneThatServes) {
  lead(1, 4);
  at(1).answer = [](const SeenCall&) { return FakeAnswer::of(R"({"items":[]})", 42); };
  auto answer = ask(getCall("nodes", ""), options());
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->json, R"({"items":[]})");
  EXPECT_EQ(answer->index, LogIndex{42});
  EXPECT_EQ(answer->epoch, Epoch{4});
  ASSERT_EQ(at(1).calls.size(), 1u);
  EXPECT_EQ(at(1).calls[0].request.clusterTime, Instant{123});
  EXPECT_FALSE(at(1).calls[0].request.guid.isNull());
  EXPECT_TRUE(at(0).calls.empty() && at(2).calls.empty());
}

TEST_F(ClusterClientTest, followsTheAddressOfALeaderThatTheContextLacks) {
  lead(2, 2);
  at(0).facts.leaderAddress = at(2).address();
  auto answer = ask(scaleCall("a", 1, DryRun::NO), {.coordinators = {at(0).address()}});
  EXPECT_TRUE(answer.ok());
  EXPECT_EQ(at(2).calls.size(), 1u);
}

TEST_F(ClusterClientTest, sendsTheSameRequestToTheNextLeaderWhenTheConnectionBreaks) {
  lead(0, 1);
  at(0).answer = [this](const SeenCall&) {
    lead(1, 2);
    return FakeAnswer::of(Kind::BREAK_CONNECTION);
  };
  auto answer = ask(scaleCall("a", 2, DryRun::NO), options());
  ASSERT_TRUE(answer.ok());
  ASSERT_EQ(at(0).calls.size(), 1u);
  ASSERT_EQ(at(1).calls.size(), 1u);
  EXPECT_EQ(at(0).calls[0].request, at(1).calls[0].request);
  EXPECT_EQ(answer->request, at(1).calls[0].request);
}

TEST_F(ClusterClientTest, sendsTheSameRequestAgainUntilItsOutcomeIsSure) {
  const RefusalCode unsure[] = {RefusalCode::NOT_LEADER, RefusalCode::NO_LEADER,
                                RefusalCode::OUTCOME_UNKNOWN, RefusalCode::OVERLOADED,
                                RefusalCode::STORE_UNREACHABLE};
  lead(0, 1);
  for (RefusalCode code : unsure) {
    SCOPED_TRACE(toText(code));
    at(0).calls.clear();
    at(0).answer = [&](const SeenCall&) {
      return at(0).calls.size() < 3 ? FakeAnswer::of(code) : FakeAnswer::of("{}");
    };
    EXPECT_TRUE(ask(deleteCall("a", DryRun::NO), options()).ok());
    ASSERT_EQ(at(0).calls.size(), 3u);
    EXPECT_EQ(at(0).calls[0].request, at(0).calls[2].request);
  }
}

TEST_F(ClusterClientTest, drawsANewRequestIdForEachCall) {
  lead(0, 1);
  ClusterClient client(*transport, loop.timer(), random, options());
  ASSERT_TRUE(ask(client, deleteCall("a", DryRun::NO)).ok());
  ASSERT_TRUE(ask(client, deleteCall("a", DryRun::NO)).ok());
  EXPECT_NE(at(0).calls[0].request, at(0).calls[1].request);
}

TEST_F(ClusterClientTest, asksNobodyWhoLeadsForCallsInQuickSuccession) {
  lead(0, 1);
  ClusterClient client(*transport, loop.timer(), random, options());
  ASSERT_TRUE(ask(client, deleteCall("a", DryRun::NO)).ok());
  uint32_t hellos = at(0).hellos;
  for (int i = 0; i < 5; i++) ASSERT_TRUE(ask(client, deleteCall("a", DryRun::NO)).ok());
  EXPECT_EQ(at(0).calls.size(), 6u);
  EXPECT_EQ(at(0).hellos, hellos);
}

TEST_F(ClusterClientTest, asksWhoLeadsOnceTheFormerLeaderRefuses) {
  lead(0, 1);
  ClusterClient client(*transport, loop.timer(), random, options());
  ASSERT_TRUE(ask(client, deleteCall("a", DryRun::NO)).ok());
  lead(1, 2);
  at(0).answer = [](const SeenCall&) {
    return FakeAnswer::of(RefusalCode::NOT_LEADER, "another leads");
  };
  ASSERT_TRUE(ask(client, deleteCall("a", DryRun::NO)).ok());
  EXPECT_EQ(at(0).calls.size(), 2u);
  EXPECT_EQ(at(1).calls.size(), 1u);
}

TEST_F(ClusterClientTest, leavesALeaderThatHangsOnceAnotherServes) {
  lead(0, 1);
  at(0).answer = [this](const SeenCall&) {
    at(2).facts.stage = Stage::SERVING;  // the frozen one still believes that it leads
    at(2).facts.epoch = {2};
    return FakeAnswer::of(Kind::HANG);
  };
  ASSERT_TRUE(ask(scaleCall("a", 2, DryRun::NO), options()).ok());
  ASSERT_EQ(at(2).calls.size(), 1u);
  EXPECT_EQ(at(0).calls.front().request, at(2).calls[0].request);
}

// One that becomes the leader says so on the connection that the client has, and need not be asked.
TEST_F(ClusterClientTest, hearsOfANewLeaderByItself) {
  lead(0, 1);
  at(0).answer = [this](const SeenCall&) {
    auto later = loop.timer().afterDelay(20 * kj::MILLISECONDS).then([this] {
      hellosBefore = at(2).hellos;
      lead(2, 2);
      for (auto& one : coordinators) one->tellNews();
    });
    changing = later.eagerlyEvaluate(nullptr);
    return FakeAnswer::of(Kind::HANG);
  };
  ASSERT_TRUE(ask(scaleCall("a", 2, DryRun::NO), options()).ok());
  ASSERT_EQ(at(2).calls.size(), 1u);
  EXPECT_EQ(at(2).hellos, hellosBefore);
}

// All clients of a former leader would dial it in the very moment in which the next one begins.
TEST_F(ClusterClientTest, keepsItsConnectionToALeaderThatHandedOver) {
  lead(0, 1);
  ClusterClient client(*transport, loop.timer(), random, options());
  at(0).answer = [this](const SeenCall&) {
    lead(2, 2);
    for (auto& one : coordinators) one->tellNews();
    return FakeAnswer::of(Kind::HANG);
  };
  ASSERT_TRUE(ask(client, scaleCall("a", 2, DryRun::NO)).ok());
  RpcConnectionId first = at(0).lastConnection;
  lead(0, 3);
  at(0).answer = [](const SeenCall&) { return FakeAnswer{}; };
  at(2).answer = [](const SeenCall&) { return FakeAnswer::of(RefusalCode::NOT_LEADER); };
  ASSERT_TRUE(ask(client, scaleCall("a", 3, DryRun::NO)).ok());
  EXPECT_EQ(at(0).calls.size(), 2u);
  EXPECT_EQ(at(0).lastConnection, first);
}

// Else it would have to dial in the very moment in which that one begins to lead.
TEST_F(ClusterClientTest, dialsAStandbyAnewWhichHasEndedItsConnection) {
  lead(0, 1);
  ClusterClient client(*transport, loop.timer(), random, options());
  auto callUntil = [&](const std::function<bool()>& isSo) {
    for (uint32_t i = 1; i < 100 && !isSo(); i++) {
      ASSERT_TRUE(ask(client, scaleCall("a", i, DryRun::NO)).ok());
      loop.timer().afterDelay(5 * kj::MILLISECONDS).wait(loop.waitScope());
    }
    ASSERT_TRUE(isSo());
  };
  callUntil([&] { return at(2).lastConnection != 0; });
  RpcConnectionId first = at(2).lastConnection;
  at(2).breakConnections();
  callUntil([&] { return at(2).lastConnection != first; });
  EXPECT_TRUE(at(2).calls.empty());
}

TEST_F(ClusterClientTest, asksAgainOnANewConnectionWhenTheOldOneIsSilent) {
  lead(0, 1);
  at(0).answer = [this](const SeenCall&) {
    if (at(0).calls.size() > 1) return FakeAnswer{};
    at(0).forgotten = at(0).lastConnection;
    return FakeAnswer::of(Kind::HANG);
  };
  ASSERT_TRUE(ask(scaleCall("a", 2, DryRun::NO), options()).ok());
  ASSERT_EQ(at(0).calls.size(), 2u);
  EXPECT_EQ(at(0).calls[0].request, at(0).calls[1].request);
}

// The one that was deposed tells of the new epoch, too; that must not hide the one who leads.
TEST_F(ClusterClientTest, leavesALeaderThatHangsThoughItKnowsOfTheNextEpoch) {
  lead(0, 1);
  at(0).answer = [this](const SeenCall&) {
    lead(2, 2);
    at(0).facts.epoch = {2};
    return FakeAnswer::of(Kind::HANG);
  };
  ASSERT_TRUE(ask(scaleCall("a", 2, DryRun::NO), options(10_s)).ok());
  ASSERT_EQ(at(2).calls.size(), 1u);
}

TEST_F(ClusterClientTest, refusesWhenNobodyLeads) {
  auto answer = ask(getCall("nodes", ""), options(3_s));
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.refusal().code, RefusalCode::NO_LEADER);
  EXPECT_NE(answer.refusal().text.find("co1 (" + at(0).address() + ") is standby"),
            std::string::npos)
      << answer.refusal().text;
}

TEST_F(ClusterClientTest, saysThatTheOutcomeIsUnknownWhenTheRequestHadBeenSent) {
  lead(0, 1);
  at(0).answer = [this](const SeenCall&) {
    at(0).facts.stage = Stage::STANDBY;
    return FakeAnswer::of(Kind::BREAK_CONNECTION);
  };
  auto answer = ask(scaleCall("a", 2, DryRun::NO), options(3_s));
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.refusal().code, RefusalCode::OUTCOME_UNKNOWN);
}

TEST_F(ClusterClientTest, aLaterRefusalDoesNotMakeAnUnknownOutcomeSure) {
  lead(0, 1);
  at(0).answer = [this](const SeenCall&) {
    if (at(0).calls.size() == 1) return FakeAnswer::of(Kind::BREAK_CONNECTION);
    at(0).facts.stage = Stage::STANDBY;
    return FakeAnswer::of(RefusalCode::NOT_LEADER);
  };
  auto answer = ask(scaleCall("a", 2, DryRun::NO), options(3_s));
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(at(0).calls.size(), 2u);
  EXPECT_EQ(answer.refusal().code, RefusalCode::OUTCOME_UNKNOWN);
}

TEST_F(ClusterClientTest, handsARefusalThrough) {
  lead(0, 1);
  at(0).answer = [](const SeenCall&) {
    return FakeAnswer::of(RefusalCode::REVISION_CONFLICT, "a is at revision 3, expected 2");
  };
  auto answer = ask(scaleCall("a", 2, DryRun::NO), options());
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.refusal().code, RefusalCode::REVISION_CONFLICT);
  EXPECT_EQ(answer.refusal().text, "a is at revision 3, expected 2");
  EXPECT_EQ(at(0).calls.size(), 1u);
}

TEST_F(ClusterClientTest, tellsADeniedCallAsNotAllowed) {
  lead(0, 1);
  at(0).answer = [](const SeenCall&) { return FakeAnswer::of(Kind::DENY); };
  auto answer = ask(scaleCall("a", 2, DryRun::NO), options());
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.refusal().code, RefusalCode::NOT_ALLOWED);
  EXPECT_EQ(answer.refusal().text, "not allowed: viewer/bob may not call this");
}

TEST_F(ClusterClientTest, doesNotGoOnAskingThoseItDoesNotTrust) {
  lead(0, 1);
  TemporaryFolder other;
  createCa(other.path(), FAKE_CLUSTER);
  transport = human(other.path());
  auto answer = ask(getCall("nodes", ""), options());
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.refusal().code, RefusalCode::NOT_AUTHENTICATED);
}

TEST_F(ClusterClientTest, tellsTheHighestIndexOfThisHistoryThatItHasSeen) {
  lead(0, 1);
  at(0).answer = [](const SeenCall&) { return FakeAnswer::of("{}", 42); };
  ClusterClient client(*transport, loop.timer(), random, options());
  client.setSeen(at(0).facts.history, {17});
  ASSERT_TRUE(ask(client, getCall("nodes", "")).ok());
  ASSERT_TRUE(ask(client, getCall("nodes", "")).ok());
  EXPECT_EQ(at(0).calls[0].lastIndex, LogIndex{17});
  EXPECT_EQ(at(0).calls[1].lastIndex, LogIndex{42});

  for (auto& one : coordinators) {  // started again, with a restored state
    one->facts.history = {2, {9, 9}};
    one->breakConnections();
  }
  ASSERT_TRUE(ask(client, getCall("nodes", "")).ok());
  EXPECT_EQ(at(0).calls[2].lastIndex, LogIndex{0});
}

TEST_F(ClusterClientTest, staleReadsAreAnsweredByAStandby) {
  auto answer = ask(getCall("nodes", "", {.asks = Asks::ANYONE}), options());
  ASSERT_TRUE(answer.ok());
  uint64_t calls = 0;
  for (auto& one : coordinators) {
    for (const auto& call : one->calls) {
      calls++;
      EXPECT_TRUE(call.stale);
    }
  }
  EXPECT_EQ(calls, 1u);
}

TEST_F(ClusterClientTest, aRefusalCountsAsSeen) {
  lead(0, 1);
  at(0).answer = [](const SeenCall&) {
    FakeAnswer no = FakeAnswer::of(RefusalCode::NOT_FOUND);
    no.index = 50;
    return no;
  };
  ClusterClient client(*transport, loop.timer(), random, options());
  EXPECT_FALSE(ask(client, getCall("nodes", "gone")).ok());
  EXPECT_FALSE(ask(client, getCall("nodes", "gone")).ok());
  EXPECT_EQ(at(0).calls[1].lastIndex, LogIndex{50});
}

TEST_F(ClusterClientTest, aStaleReadGoesToOneThatHasWhatWasSeen) {
  at(0).facts.applied = {10};
  at(1).facts.applied = {60};
  at(2).facts.applied = {49};
  ClusterClient client(*transport, loop.timer(), random, options());
  client.setSeen(at(0).facts.history, {50});
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(ask(client, getCall("nodes", "", {.asks = Asks::ANYONE})).ok());
  }
  EXPECT_TRUE(at(0).calls.empty() && at(2).calls.empty());
  EXPECT_EQ(at(1).calls.size(), 5u);
}

TEST_F(ClusterClientTest, nobodyOfAnEarlierHistoryIsAskedWhileOneOfTheNewestAnswers) {
  at(1).facts.history = {2, {9, 9}};
  at(2).facts.history = {};  // one that has just started knows none
  for (auto& one : coordinators) one->facts.applied = {100};
  ClusterClient client(*transport, loop.timer(), random, options());
  client.setSeen({2, {9, 9}}, {50});
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(ask(client, getCall("nodes", "", {.asks = Asks::ANYONE})).ok());
  }
  EXPECT_TRUE(at(0).calls.empty() && at(2).calls.empty());
  ASSERT_EQ(at(1).calls.size(), 5u);
  EXPECT_EQ(at(1).calls[4].lastIndex, LogIndex{50});
}

TEST_F(ClusterClientTest, aNewClusterOfTheSameNameIsAcceptedAfterAWhile) {
  lead(0, 1);
  auto soon = options();
  soon.settleAfter = 50_ms;
  ClusterClient client(*transport, loop.timer(), random, soon);
  client.setSeen({2, {9, 9}}, {50});
  ASSERT_TRUE(ask(client, getCall("nodes", "")).ok());
  EXPECT_EQ(at(0).calls[0].lastIndex, LogIndex{0});
  EXPECT_EQ(client.history(), at(0).facts.history);
}

TEST_F(ClusterClientTest, statusIsTheLeadersAndAnybodysWhenNobodyLeads) {
  auto soon = options();
  soon.settleAfter = 50_ms;
  ASSERT_TRUE(ask(adminStatusCall(), soon).ok());
  lead(2, 3);
  ASSERT_TRUE(ask(adminStatusCall(), options()).ok());
  EXPECT_EQ(at(2).calls.back().method, "adminStatus");
}

TEST_F(ClusterClientTest, anOldLeaderOfALowerEpochIsNotAsked) {
  lead(1, 5);
  ClusterClient client(*transport, loop.timer(), random, options());
  ASSERT_TRUE(ask(client, getCall("nodes", "")).ok());
  at(0).facts.stage = Stage::SERVING;  // of epoch 1
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(ask(client, getCall("nodes", "")).ok());
  EXPECT_TRUE(at(0).calls.empty());
  EXPECT_EQ(at(1).calls.size(), 6u);
}

}  // namespace
}  // namespace muster::cli::cluster_client_test

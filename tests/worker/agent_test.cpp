// The agent as a whole, with fake ranks: orders, its memory, its lease.
#include "worker/agent.h"

#include "tests/worker/agent_fixture.h"

namespace muster::worker::agent_test {
namespace {

class AgentTest : public AgentFixture {
 protected:
  ~AgentTest() noexcept override {}  // as gtest's own: what it owns may throw

  // An agent attached to a leader of epoch 1.
  void attach() {
    leader_ = coordinator("co1");
    agent_ = start({leader_->address()});
    until([&] { return !leader_->reports.empty(); });
  }
  ObeyAnswer give(uint64_t epoch, uint64_t index, const std::vector<uint32_t>& ranks) {
    return within(
        leader_->order(orderOf(stampOf(epoch, index), leader_->hellos.back().incarnation, ranks)));
  }

  kj::Own<FakeCoordinator> leader_;
  kj::Own<Agent> agent_;
};

TEST_F(AgentTest, storesAnOrderBeforeItObeys) {
  attach();
  auto answer = give(1, 10, {0, 1});
  EXPECT_EQ(*answer.outcome, stampOf(1, 10));
  ASSERT_EQ(ranks_.obeyed.size(), 1u);
  EXPECT_EQ(ranks_.obeyed[0], (std::vector<Assignment>{assignmentOf(0), assignmentOf(1)}));
  EXPECT_EQ(decodeStoredOrders(disk_.bytes).order.assignments, ranks_.obeyed[0]);
  until([&] { return leader_->reports.back().obeyed == stampOf(1, 10); });
}

TEST_F(AgentTest, saysWhereItsWeightsAreRead) {
  weightAddress_ = "10.0.0.1:7411";
  attach();
  EXPECT_EQ(leader_->hellos.back().weightAddress, "10.0.0.1:7411");
}

TEST_F(AgentTest, tellsTheHealthOfItsDevices) {
  attach();
  DeviceIndex gpu = agent_->node().devices.front().index;
  agent_->takeHealth({{gpu, "XID 79"}, {{99}, "none of ours"}});
  std::map<DeviceIndex, std::string> told = {{gpu, "XID 79"}};
  until([&] { return leader_->reports.back().unhealthy == told; });
  EXPECT_EQ(unhealthyOf(agent_->node()), told);
  agent_->takeHealth({});
  until([&] { return leader_->reports.back().unhealthy.empty(); });
}

TEST_F(AgentTest, aRepeatIsASuccessAndDoesNothing) {
  attach();
  give(1, 10, {0});
  size_t saves = disk_.saves;
  EXPECT_EQ(*give(1, 10, {0}).outcome, stampOf(1, 10));
  EXPECT_EQ(ranks_.obeyed.size(), 1u);
  EXPECT_EQ(disk_.saves, saves);
}

TEST_F(AgentTest, anOlderOrderIsAnsweredWithTheHighest) {
  attach();
  give(3, 10, {0});
  auto answer = give(2, 99, {});
  ASSERT_FALSE(answer.outcome.ok());
  EXPECT_EQ(answer.outcome.refusal().code, RefusalCode::STALE_ORDER);
  EXPECT_EQ(answer.highest, stampOf(3, 10));
  EXPECT_EQ(ranks_.obeyed.size(), 1u);
}

TEST_F(AgentTest, anOrderOfALeaderThatWasDeposedIsRefusedBeforeTheNewOneGaveAny) {
  attach();
  give(1, 10, {0});
  leader_->answers.token = tokenOf(2);
  until([&] { return agent_->status().token == tokenOf(2); });
  auto answer = give(1, 11, {});
  ASSERT_FALSE(answer.outcome.ok());
  EXPECT_EQ(answer.highest.token, tokenOf(2));
}

TEST_F(AgentTest, nothingIsObeyedThatTheDiskDoesNotHold) {
  attach();
  give(1, 10, {0});
  disk_.full = true;
  auto answer = give(1, 11, {0, 1});
  ASSERT_FALSE(answer.outcome.ok());
  EXPECT_EQ(answer.outcome.refusal().code, RefusalCode::DISK_FULL);
  EXPECT_EQ(answer.highest, stampOf(1, 10));
  EXPECT_EQ(ranks_.obeyed.size(), 1u);
  disk_.full = false;
  EXPECT_TRUE(give(1, 11, {0, 1}).outcome.ok());
  EXPECT_EQ(ranks_.obeyed.size(), 2u);
}

TEST_F(AgentTest, aNewLifeGoesOnWithItsOrderAndRefusesThoseForTheOldOne) {
  attach();
  give(4, 10, {0});
  Incarnation before = leader_->hellos.back().incarnation;
  agent_ = nullptr;
  ranks_.obeyed.clear();
  agent_ = start({leader_->address()});
  ASSERT_EQ(ranks_.obeyed.size(), 1u) << "before anybody is told of the ranks";
  EXPECT_EQ(ranks_.obeyed[0], std::vector<Assignment>{assignmentOf(0)});
  until([&] { return leader_->hellos.size() == 2; });
  const WorkerHello& hello = leader_->hellos[1];
  EXPECT_NE(hello.incarnation, before);
  EXPECT_EQ(hello.highestOrder, stampOf(4, 10));
  EXPECT_EQ(hello.token, tokenOf(4));
  EXPECT_FALSE(give(3, 99, {}).outcome.ok());
  auto late = within(leader_->order(orderOf(stampOf(4, 11), before, {})));
  ASSERT_FALSE(late.outcome.ok());
  EXPECT_EQ(late.outcome.refusal().code, RefusalCode::STALE_ORDER);
}

TEST_F(AgentTest, remembersTheHighestEpochItWasTold) {
  attach();
  leader_->answers.token = tokenOf(9);
  until([&] { return agent_->status().token == tokenOf(9); });
  agent_ = nullptr;
  leader_->answers.token = tokenOf(2);
  agent_ = start({leader_->address()});
  EXPECT_EQ(agent_->status().token, tokenOf(9));
  EXPECT_TRUE(ranks_.obeyed.empty()) << "without an order nothing is stopped";
}

TEST_F(AgentTest, doesNotStartWithADamagedOrder) {
  disk_.bytes = "this is no order of ours";
  EXPECT_FALSE(tryStart({}).ok());
  EXPECT_TRUE(ranks_.obeyed.empty());
}

TEST_F(AgentTest, isIsolatedOnceWhenItsLeaseEndsAndGoesOn) {
  attach();
  give(1, 10, {0});
  until([&] { return agent_->status().lease == LeaseState::HELD; });
  leader_->answers.lease = 50_ms;
  leader_->stop();
  // The lease of 6 s would end in real time; a new life gets a short one.
  agent_ = nullptr;
  within(leader_->start());
  agent_ = start({leader_->address()});
  until([&] { return agent_->status().lease == LeaseState::HELD; });
  leader_->stop();
  until([&] { return agent_->status().lease == LeaseState::EXPIRED; });
  until([&] { return linesWith("isolated") == 1; });
  EXPECT_EQ(ranks_.obeyed.back(), std::vector<Assignment>{assignmentOf(0)}) << "ranks go on";
  leader_->answers.lease = 6_s;
  within(leader_->start());
  until([&] { return agent_->status().lease == LeaseState::HELD; });
  EXPECT_EQ(linesWith("isolated"), 1u);
}

TEST_F(AgentTest, inspectsModelsAndReadsLogsForItsCoordinators) {
  attach();
  inspection_.manifest.source = "file:/models/sample";
  ranks_.logged = rankOf(2);
  auto inspect = [&](const char* source) {
    auto request = leader_->agents.back().inspectModelRequest();
    request.setSource(source);
    return within(request.send().then([](auto&& response) {
      auto answer = response.getAnswer();
      return answer.isManifest() ? std::string(answer.getManifest().getSource().cStr())
                                 : decode(answer.getRefusal()).text;
    }));
  };
  EXPECT_EQ(inspect("file:/models/sample"), "file:/models/sample");
  EXPECT_EQ(inspect("file:/models/none"), "no model file:/models/none");
  auto request = leader_->agents.back().readLogRequest();
  encode(rankOf(2), request.initRank());
  request.setLinesMax(3);
  auto log = within(request.send().then([](auto&& response) {
    return std::to_string(response.getLines().size()) + response.getFirstError().cStr();
  }));
  EXPECT_EQ(log, "3first");
}

// Calls under way when the agent goes are cancelled with it: they refer to what it owns.
TEST_F(AgentTest, asksTheLeaderWhereWeightsAreUntilOneKnows) {
  attach();
  RankRef rank{{7}, {0}, {1}, {2}};
  auto asking = agent_->find(rank);
  until([&] { return leader_->asked.size() >= 2; });  // it has said that it does not lead
  WeightSources sources;
  sources.peers = {{{"w2"}, "127.0.0.1:7411"}};
  leader_->answers.sources = sources;
  auto found = within(kj::mv(asking));
  ASSERT_TRUE(found.ok()) << found.refusal().text;
  EXPECT_EQ(*found, sources);
  EXPECT_EQ(leader_->asked.back(), rank);
}

TEST_F(AgentTest, aLeaderThatIsOlderThanTheQuestionIsSaidToBe) {
  attach();
  leader_->answers.knowsWeights = false;
  auto found = within(agent_->find({{7}, {0}, {1}, {2}}));
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.refusal().code, RefusalCode::NOT_SUPPORTED_YET);
}

TEST_F(AgentTest, mayGoInTheMiddleOfAnInspection) {
  attach();
  struct Slow final : ModelInspection {
    kj::Promise<Result<ModelManifest>> inspect(std::string) override {
      started = true;
      kj::Promise<Result<ModelManifest>> never = kj::NEVER_DONE;
      return never.attach(kj::defer([this] { cancelled = true; }));
    }
    bool started = false;
    bool cancelled = false;
  } slow;
  agent_ = nullptr;
  auto made =
      Agent::start({loop_.timer(), clock_, random_, *transport_, ranks_, slow, orders_, logger_},
                   {CLUSTER, NodeInfo{.name = {"w1"}}, {leader_->address()}, policy()});
  agent_ = kj::mv(*made);
  until([&] { return leader_->hellos.size() == 2; });
  auto call = leader_->agents.back().inspectModelRequest().send().ignoreResult();
  auto failure = call.then([] { return false; }, [](kj::Exception&&) { return true; })
                     .eagerlyEvaluate(nullptr);
  until([&] { return slow.started; });
  agent_ = nullptr;
  until([&] { return slow.cancelled; });
  EXPECT_TRUE(within(kj::mv(failure)));
}

}  // namespace
}  // namespace muster::worker::agent_test

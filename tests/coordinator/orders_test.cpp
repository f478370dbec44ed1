// What a leader sees of its workers and how its orders reach them, on virtual time: no order before
// its commit, again until it is obeyed, never for a connection of an older leadership.
#include "base/kj_time.h"
#include "coordinator/effect_sender.h"
#include "coordinator/follower.h"
#include "coordinator/observed_keeper.h"
#include "coordinator/reconciler.h"
#include "protocol/codec.h"
#include "tests/support/fake_leadership.h"
#include "tests/support/memory_store.h"

#include <gtest/gtest.h>
#include <kj/timer.h>

namespace muster::coordinator::orders_test {
namespace {

const ClusterName CLUSTER{"test"};
const NodeName NODE{"gpu01"};

// One clock for the steady time and the timers, moved by hand.
struct VirtualTime final : Clock {
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  SteadyTime now;
  SteadyTime steadyNow() const override { return now; }
  WallTime wallNow() const override { return {}; }
  void advance(Duration by) {
    now = now + by;
    timer.advanceTo(kj::origin<kj::TimePoint>() + toKj(now - SteadyTime{}));
  }
};

// Every look at it takes a while.
struct SlowClock final : Clock {
  Duration each;
  mutable SteadyTime now;
  explicit SlowClock(Duration each) : each(each) {}
  SteadyTime steadyNow() const override { return now = now + each; }
  WallTime wallNow() const override { return {}; }
};

enum class Mood { OBEYS, SILENT, FAILS, KNOWS_A_HIGHER_TOKEN };

struct FakeAgent final : schema::Agent::Server {
  Mood& mood;
  std::vector<OrderStamp>& got;
  FakeAgent(Mood& mood, std::vector<OrderStamp>& got) : mood(mood), got(got) {}
  virtual ~FakeAgent() noexcept(false) = default;
  kj::Promise<void> obey(ObeyContext context) override {
    OrderStamp stamp = decode(context.getParams().getOrder()).stamp;
    got.push_back(stamp);
    if (mood == Mood::SILENT) return kj::NEVER_DONE;
    if (mood == Mood::FAILS) return KJ_EXCEPTION(FAILED, "disk full");
    auto answer = context.getResults().initAnswer();
    if (mood == Mood::OBEYS) {
      encode(stamp, answer.initObeyed());
      encode(stamp, answer.initHighest());
    } else {
      Refusal refusal{RefusalCode::STALE_ORDER, "an order of a higher epoch is stored"};
      encode(refusal, answer.initRefusal());
      stamp.token.epoch = stamp.token.epoch.next();
      encode(stamp, answer.initHighest());
    }
    return kj::READY_NOW;
  }
};

struct FakeAuthority final : WorkerAuthority {
  CoordinatorId self{"co1"};
  FencingToken known;
  std::vector<FencingToken> seen;
  const ClusterName& cluster() const override { return CLUSTER; }
  const CoordinatorId& id() const override { return self; }
  FencingToken token() const override { return known; }
  bool leading() const override { return true; }
  void sawToken(const FencingToken& token, const NodeName&) override { seen.push_back(token); }
  Duration extendLease(const NodeName&) override { return {}; }
  kj::Promise<Result<WeightSources>> weightSources(NodeName, RankRef) override {
    return Result<WeightSources>(Refusal{RefusalCode::NOT_LEADER, "nobody asks here"});
  }
};

class OrdersTest : public testing::Test {
 public:
  ~OrdersTest() noexcept override = default;

 protected:
  OrdersTest() { follower.open(CLUSTER, log.history); }

  void attach() {
    WorkerHello hello;
    hello.cluster = CLUSTER.value;
    hello.node.name = NODE;
    hello.node.address = "127.0.0.1";
    hello.node.devices = {{{0}, "cpu", "gpu01-0", 4_GiB, 0}};
    hello.incarnation = {1, 2};
    attachment = registry.attach(hello, kj::heap<FakeAgent>(mood, got), ++connection).id;
  }
  void beginLeading() {
    driver.emplace(
        Driver::Parts{follower.lend(), leadership, store, clusterClock, time, facts, logger});
    keeper.emplace(registry, clusterClock, driver->state(), FencingToken{log.history, Epoch{3}});
    sender.emplace(
        EffectSender::Parts{time.timer, *driver, registry, *keeper, authority, facts, logger});
  }
  OrderStamp stamp(uint64_t index) const { return {{log.history, Epoch{3}}, {index}}; }
  void send(uint64_t index) { sender->send({NODE, Order{stamp(index), {1, 2}, {}}}); }
  void settle() { scope.poll(); }
  const ObservedNode& observed() { return keeper->observed().nodes.at(NODE); }

  kj::EventLoop loop;
  kj::WaitScope scope{loop};
  VirtualTime time;
  ClusterClock clusterClock{time, Instant{1'000'000}};
  Logger logger{LogOptions{.output = [](std::string_view) {}}};
  CoordinatorFacts facts;
  MemoryDisk disk;
  MemoryStore store{disk};
  failover::FakeLog log;
  failover::FakeLeadership leadership{log, Epoch{3}, time};
  FakeAuthority authority;
  WorkerRegistry registry{time};
  Follower follower{store, facts, logger};
  Mood mood = Mood::OBEYS;
  std::vector<OrderStamp> got;
  RpcConnectionId connection = 0;
  AttachmentId attachment;
  std::optional<Driver> driver;
  std::optional<ObservedKeeper> keeper;
  std::optional<EffectSender> sender;
};

TEST_F(OrdersTest, leaveOnlyWhenWhatTheyRestOnIsCommitted) {
  beginLeading();
  attach();
  ASSERT_TRUE(
      driver->propose(NodeRegistered{registry.find(NODE)->hello.node, {1, 2}}, "coordinator/co1")
          .ok());
  send(1);
  settle();
  EXPECT_TRUE(got.empty());
  EXPECT_EQ(observed().sent, stamp(1));
  leadership.commit();
  settle();
  EXPECT_EQ(got, (std::vector<OrderStamp>{stamp(1)}));
  EXPECT_EQ(observed().obeyed, stamp(1));
}

TEST_F(OrdersTest, areAskedForAgainWhenTheyFail) {
  beginLeading();
  attach();
  mood = Mood::FAILS;
  send(1);
  settle();
  EXPECT_EQ(facts.ordersFailed, 1u);
  EXPECT_EQ(observed().sent, stamp(1));  // not at once: the agent shall not be flooded
  time.advance(ORDER_RETRY);
  settle();
  EXPECT_EQ(observed().sent, OrderStamp{});  // so reconcile sends again
}

TEST_F(OrdersTest, haveADeadline) {
  beginLeading();
  attach();
  mood = Mood::SILENT;
  send(1);
  settle();
  time.advance(ORDER_DEADLINE - 1_ms);
  settle();
  EXPECT_EQ(facts.ordersFailed, 0u);
  time.advance(1_ms);
  settle();
  EXPECT_EQ(facts.ordersFailed, 1u);
}

TEST_F(OrdersTest, aNewerOneReplacesTheOlder) {
  beginLeading();
  attach();
  mood = Mood::SILENT;
  send(1);
  settle();
  mood = Mood::OBEYS;
  send(2);
  settle();
  time.advance(ORDER_DEADLINE + ORDER_RETRY);
  settle();
  EXPECT_EQ(observed().sent, stamp(2));  // the first one's deadline changes nothing any more
  EXPECT_EQ(observed().obeyed, stamp(2));
  EXPECT_EQ(facts.ordersFailed, 0u);
}

TEST_F(OrdersTest, theRefusalOfAnAgentThatKnowsAHigherTokenIsHeard) {
  beginLeading();
  attach();
  mood = Mood::KNOWS_A_HIGHER_TOKEN;
  send(1);
  settle();
  EXPECT_EQ(authority.seen, (std::vector<FencingToken>{{log.history, Epoch{4}}}));
  EXPECT_EQ(facts.fencedAttempts, 1u);
}

TEST_F(OrdersTest, areNotSentToANodeThatIsNotAttached) {
  beginLeading();
  send(1);
  settle();
  EXPECT_EQ(facts.ordersFailed, 1u);
}

TEST_F(OrdersTest, aConnectionFromBeforeCountsFromItsNextHeartbeat) {
  attach();
  beginLeading();
  EXPECT_TRUE(keeper->observed().nodes.empty() || !observed().attached);
  ASSERT_TRUE(registry.report(NODE, attachment, NodeReport{}));
  EXPECT_TRUE(observed().attached);
  EXPECT_FALSE(observed().brokenSince);
}

// What it told while we were a standby is what it would tell now: the heartbeat says so.
TEST_F(OrdersTest, aHeartbeatWithoutNewsBringsANewLeaderWhatAStandbyWasTold) {
  attach();
  NodeReport report;
  report.ranks = {RankReport{.ref = {{1}, {0}, {1}, {0}}, .phase = ReplicaPhase::READY}};
  ASSERT_TRUE(registry.report(NODE, attachment, report));
  beginLeading();
  ASSERT_TRUE(registry.confirm(NODE, attachment));
  EXPECT_TRUE(observed().attached);
  EXPECT_EQ(observed().ranks.size(), 1u);
}

TEST_F(OrdersTest, onlyAHeartbeatWithNewsIsLookedInto) {
  beginLeading();
  attach();
  size_t looks = 0;
  keeper->onChanged([&] { ++looks; });
  ReportChange change{.sequence = 2, .base = 1};
  change.ranks = {RankReport{.ref = {{1}, {0}, {1}, {0}}, .phase = ReplicaPhase::LOADING}};
  ASSERT_TRUE(registry.change(NODE, attachment, change));
  EXPECT_EQ(looks, 1u);
  ASSERT_TRUE(registry.confirm(NODE, attachment));
  EXPECT_EQ(looks, 1u);
  EXPECT_EQ(observed().ranks.size(), 1u);
  EXPECT_EQ(registry.find(NODE)->heardAt, time.steadyNow());
}

TEST_F(OrdersTest, aBrokenConnectionIsSeenAtOnceAndForgottenWhenItIsBack) {
  beginLeading();
  attach();
  time.advance(3_s);
  registry.detach(NODE, attachment);
  EXPECT_FALSE(observed().attached);
  EXPECT_EQ(observed().brokenSince, clusterClock.now());
  attach();
  EXPECT_TRUE(observed().attached);
  EXPECT_FALSE(observed().brokenSince);
}

TEST_F(OrdersTest, whatWasSentOverAnOlderConnectionCountsAsNotSent) {
  beginLeading();
  attach();
  send(1);
  settle();
  attach();
  EXPECT_EQ(observed().sent, OrderStamp{});
}

// The whole loop: a hello is seen, registered by a command, and the node is known once that is
// applied.
TEST_F(OrdersTest, reconcileRegistersANodeThatAttaches) {
  SeededRandom random(1);
  beginLeading();
  Reconciler reconciler({time.timer, time, clusterClock, random, *driver, *keeper, *sender, facts,
                         logger, "coordinator/co1"});
  auto running = reconciler.run().eagerlyEvaluate(
      [](kj::Exception&& e) { ADD_FAILURE() << e.getDescription().cStr(); });
  settle();
  attach();
  settle();
  time.advance(RECONCILE_PAUSE);
  settle();
  EXPECT_EQ(leadership.inFlight(), 1u);
  ASSERT_NE(driver->state().findNode(NODE), nullptr);
  leadership.commitAll();
  time.advance(RECONCILE_PAUSE);
  settle();
  EXPECT_EQ(leadership.inFlight(), 0u);  // and not again
  EXPECT_GE(facts.reconcileDuration.count, 2u);
}

TEST_F(OrdersTest, aLongLookIsFollowedByAPauseOfThreeTimesItsLength) {
  SlowClock slow(50_ms);
  SeededRandom random(1);
  beginLeading();
  Reconciler reconciler({time.timer, slow, clusterClock, random, *driver, *keeper, *sender, facts,
                         logger, "coordinator/co1"});
  auto running = reconciler.run().eagerlyEvaluate(
      [](kj::Exception&& e) { ADD_FAILURE() << e.getDescription().cStr(); });
  settle();
  time.advance(RECONCILE_PAUSE);
  settle();
  ASSERT_EQ(facts.reconcileDuration.count, 1u);
  reconciler.poke();
  settle();
  time.advance(50_ms * PAUSE_PER_LOOK - 1_ms);
  settle();
  EXPECT_EQ(facts.reconcileDuration.count, 1u) << "calls have the loop now";
  time.advance(1_ms);
  settle();
  EXPECT_EQ(facts.reconcileDuration.count, 2u);
}

}  // namespace
}  // namespace muster::coordinator::orders_test

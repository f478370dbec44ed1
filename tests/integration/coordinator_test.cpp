// Three coordinator processes on a real ZooKeeper: they elect, commit, survive the death of their
// leader, hand over.
#include "base/event_loop.h"
#include "base/kj_time.h"
#include "base/rpc.h"
#include "protocol/codec.h"
#include "protocol/coordinator.capnp.h"
#include "tests/support/coordinator_process.h"
#include "tests/support/zk_server.h"

#include <gtest/gtest.h>

#include <csignal>
#include <functional>
#include <map>
#include <optional>

namespace muster::coordinator_test {
namespace {

const ClusterName CLUSTER{"test"};
constexpr uint8_t SERVING = 3;
constexpr auto PATIENCE = 30 * kj::SECONDS;

struct Info {
  uint64_t epoch = 0;
  uint8_t stage = 0;
  uint64_t applied = 0;
  std::string leader;
};

// An agent that stores the newest order and obeys it.
class FakeAgent final : public schema::Agent::Server {
 public:
  virtual ~FakeAgent() noexcept(false) = default;
  kj::Promise<void> obey(ObeyContext context) override {
    auto stamp = context.getParams().getOrder().getStamp();
    context.getResults().initAnswer().setObeyed(stamp);
    context.getResults().getAnswer().setHighest(stamp);
    return kj::READY_NOW;
  }
};

class CoordinatorTest : public testing::Test {
 public:
  ~CoordinatorTest() noexcept override = default;

 protected:
  CoordinatorTest() {
    admin = makeTlsTransport(loop.network(), loop.timer(), CLUSTER,
                             processes.certificate({Role::ADMIN, "anna"}));
    worker = makeTlsTransport(loop.network(), loop.timer(), CLUSTER,
                              processes.certificate({Role::WORKER, "gpu01"}));
  }

  void startAll() {
    auto made = processes.run({"--config", processes.configPath(0), "--bootstrap"});
    ASSERT_EQ(made.code, 0) << made.output;
    for (size_t i = 0; i < processes.count(); i++) processes.start(i);
    for (size_t i = 0; i < processes.count(); i++) {
      await("all answer", [&] { return ask(i).has_value(); });
    }
  }

  // What a coordinator says of itself; nothing while it cannot be reached.
  std::optional<Info> ask(size_t member) {
    std::optional<Info> info;
    auto asked = connectRpc(*admin, loop.timer(), processes.address(member), Role::COORDINATOR)
                     .then([&](kj::Own<RpcConnection> connection) {
                       auto hello = connection->bootstrap<schema::Gate>().helloRequest().send();
                       return hello
                           .then([&](auto&& response) {
                             auto said = response.getInfo();
                             info = Info{said.getEpoch(), said.getStage(), said.getAppliedIndex(),
                                         said.getLeader()};
                           })
                           .attach(kj::mv(connection));
                     });
    withDeadline(loop.timer(), 2_s, "hello", kj::mv(asked))
        .catch_([](kj::Exception&&) {})
        .wait(loop.waitScope());
    return info;
  }

  // Looks again and again until it is so.
  void await(const std::string& what, std::function<bool()> isSo) {
    auto deadline = loop.timer().now() + PATIENCE;
    while (!isSo()) {
      ASSERT_LT(loop.timer().now(), deadline) << "waited in vain until " << what << "\n" << logs();
      loop.timer().afterDelay(10 * kj::MILLISECONDS).wait(loop.waitScope());
    }
  }

  // The one that serves in an epoch above `above`.
  size_t awaitLeader(uint64_t above = 0) {
    size_t leader = 0;
    await("a leader serves in an epoch above " + std::to_string(above), [&] {
      for (size_t i = 0; i < processes.count(); i++) {
        if (processes.pid(i) == 0) continue;
        auto info = ask(i);
        if (info && info->stage == SERVING && info->epoch > above) return leader = i, true;
      }
      return false;
    });
    return leader;
  }

  void awaitApplied(size_t member, uint64_t index) {
    await(
        "coordinator " + std::to_string(member + 1) + " has applied index " + std::to_string(index),
        [&] {
          auto info = ask(member);
          return info && info->applied >= index;
        });
  }

  // Attaches node gpu01 to a coordinator. The connection is kept.
  AttachAccepted attach(size_t member) {
    auto connection =
        connectRpc(*worker, loop.timer(), processes.address(member), Role::COORDINATOR)
            .wait(loop.waitScope());
    auto request =
        connection->bootstrap<schema::Gate>().workerRequest().send().getGate().attachRequest();
    WorkerHello hello;
    hello.cluster = CLUSTER.value;
    hello.node.name = {"gpu01"};
    hello.node.address = "127.0.0.1";
    hello.node.devices = {{{0}, "cpu", "gpu01-0", 4_GiB, 0}};
    hello.node.version = "test";
    hello.incarnation = {1, 2};
    encode(hello, request.initHello());
    request.setAgent(kj::heap<FakeAgent>());
    auto response = request.send().wait(loop.waitScope());
    auto answer = response.getAnswer();
    KJ_REQUIRE(answer.isAccepted(), decode(answer.getRefusal()).text.c_str());
    attached.insert_or_assign(member, kj::mv(connection));
    sessions.insert_or_assign(member, response.getSession());
    auto accepted = answer.getAccepted();
    return {decode(accepted.getToken()), {accepted.getCoordinator()}, accepted.getLeading()};
  }

  HeartbeatAnswer heartbeat(size_t member) {
    auto request = sessions.at(member).heartbeatRequest();
    encode(NodeReport{}, request.initReport());
    auto response = request.send().wait(loop.waitScope());
    auto answer = response.getAnswer();
    return {decode(answer.getToken()), answer.getLeading(), 1_ms * answer.getLeaseRemainingMs()};
  }

  std::string logs() {
    std::string all;
    for (size_t i = 0; i < processes.count(); i++)
      all += "--- co" + std::to_string(i + 1) + "\n" + processes.log(i);
    return all;
  }

  support::ZkServers zookeeper{1};
  support::CoordinatorProcesses processes{CLUSTER, zookeeper.addresses(), 3};
  EventLoop loop;
  kj::Own<Transport> admin;
  kj::Own<Transport> worker;
  std::map<size_t, kj::Own<RpcConnection>> attached;
  std::map<size_t, schema::WorkerSession::Client> sessions;
};

TEST_F(CoordinatorTest, isBootstrappedOnce) {
  auto first = processes.run({"--config", processes.configPath(0), "--bootstrap"});
  EXPECT_EQ(first.code, 0) << first.output;
  auto second = processes.run({"--config", processes.configPath(1), "--bootstrap"});
  EXPECT_EQ(second.code, 0) << second.output;
  EXPECT_NE(second.output.find("bootstrapped before"), std::string::npos) << second.output;
}

TEST_F(CoordinatorTest, electsOneCommitsAndOutlivesItsLeader) {
  startAll();
  size_t leader = awaitLeader();
  uint64_t epoch = ask(leader)->epoch;
  uint64_t before = ask(leader)->applied;
  for (size_t i = 0; i < 3; i++) EXPECT_EQ(attach(i).leading, i == leader);
  awaitApplied(leader, before + 1);  // the node's registration
  uint64_t registered = ask(leader)->applied;
  for (size_t i = 0; i < 3; i++) awaitApplied(i, registered);
  EXPECT_GT(heartbeat(leader).leaseRemaining, 5_s);

  processes.kill(leader);
  size_t next = awaitLeader(epoch);
  EXPECT_NE(next, leader);
  EXPECT_GT(ask(next)->applied, registered);  // LeaderStarted is committed before it serves
  auto beat = heartbeat(next);                // over the connection that the standby kept
  EXPECT_TRUE(beat.leading);
  EXPECT_GT(beat.token.epoch.value, epoch);
  EXPECT_GT(beat.leaseRemaining, 5_s);

  processes.start(leader);
  awaitApplied(leader, ask(next)->applied);
  EXPECT_EQ(ask(leader)->stage, 0);
}

TEST_F(CoordinatorTest, handsOverOnSigterm) {
  startAll();
  size_t leader = awaitLeader();
  uint64_t epoch = ask(leader)->epoch;
  await("another stands in line", [&] {
    for (size_t i = 0; i < 3; i++) {
      if (!ask(i) || ask(i)->epoch != epoch) return false;
    }
    return true;
  });
  auto end = processes.terminate(leader);
  EXPECT_EQ(end.code, 0) << end.output;
  EXPECT_EQ(end.signal, 0);
  size_t next = awaitLeader(epoch);
  EXPECT_NE(next, leader);
}

TEST_F(CoordinatorTest, aFrozenLeaderIsReplacedAndBecomesAStandby) {
  startAll();
  size_t leader = awaitLeader();
  uint64_t epoch = ask(leader)->epoch;
  processes.signal(leader, SIGSTOP);
  size_t next = leader;
  await("another leads", [&] {
    for (size_t i = 0; i < 3; i++) {
      if (i == leader) continue;
      auto info = ask(i);
      if (info && info->stage == SERVING && info->epoch > epoch) return next = i, true;
    }
    return false;
  });
  processes.signal(leader, SIGCONT);
  await("the old leader follows", [&] {
    auto info = ask(leader);
    return info && info->stage == 0 && info->epoch > epoch;
  });
  EXPECT_EQ(ask(next)->stage, SERVING);
  awaitApplied(leader, ask(next)->applied);
}

TEST_F(CoordinatorTest, goesOnAfterZookeeperWasAway) {
  startAll();
  size_t leader = awaitLeader();
  uint64_t epoch = ask(leader)->epoch;
  uint64_t applied = ask(leader)->applied;
  zookeeper.kill(0);
  zookeeper.start(0);
  zookeeper.awaitServing();
  size_t now = awaitLeader(epoch - 1);
  EXPECT_GE(ask(now)->applied, applied);
  attach(now);
  awaitApplied(now, applied + 1);
}

TEST_F(CoordinatorTest, allRestartFromTheirStores) {
  startAll();
  size_t leader = awaitLeader();
  uint64_t applied = ask(leader)->applied;
  for (size_t i = 0; i < 3; i++) processes.kill(i);
  for (size_t i = 0; i < 3; i++) processes.start(i);
  size_t next = awaitLeader();
  EXPECT_GT(ask(next)->applied, applied);
  for (size_t i = 0; i < 3; i++) awaitApplied(i, applied);
}

TEST_F(CoordinatorTest, printsTheStoreOfAStoppedOne) {
  startAll();
  awaitLeader();
  processes.kill(0);
  auto printed = processes.run({"--print-store", processes.dataDirectory(0)});
  EXPECT_EQ(printed.code, 0) << printed.output;
  auto none = processes.run({"--print-store", "/nowhere/at/all"});
  EXPECT_EQ(none.code, 1);
  EXPECT_EQ(none.output.find("error[E"), 0u) << none.output;
}

TEST_F(CoordinatorTest, saysWhatIsWrongInTheErrorStyle) {
  startAll();
  awaitLeader();
  auto port = processes.run(
      {"--config", processes.configPath(0), "--data_dir", processes.dataDirectory(0) + "-2"});
  EXPECT_EQ(port.code, 1);
  EXPECT_NE(port.output.find("error[E0706]"), std::string::npos) << port.output;
  auto store = processes.run({"--config", processes.configPath(0)});
  EXPECT_EQ(store.code, 1);
  EXPECT_NE(store.output.find("error[E0710]"), std::string::npos) << store.output;
  auto flag = processes.run({"--bootstarp"});
  EXPECT_EQ(flag.code, 2);
  auto file = processes.run({"--config", "/nowhere.toml", "--check-config"});
  EXPECT_EQ(file.code, 3);
  auto good = processes.run({"--config", processes.configPath(0), "--check-config"});
  EXPECT_EQ(good.code, 0) << good.output;
}

}  // namespace
}  // namespace muster::coordinator_test

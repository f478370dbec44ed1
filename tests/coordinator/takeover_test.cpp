// Real coordinators on a real ZooKeeper: a dead leader is replaced before its session ends, a
// frozen one by a majority, and a leader that lives in spite of the guess costs one change.
#include "base/event_loop.h"
#include "base/kj_time.h"
#include "base/rpc.h"
#include "protocol/codec.h"
#include "protocol/coordinator.capnp.h"
#include "tests/support/child_program.h"
#include "tests/support/coordinator_process.h"
#include "tests/support/relay.h"
#include "tests/support/zk_server.h"

#include <gtest/gtest.h>

#include <csignal>
#include <functional>
#include <map>
#include <optional>

namespace muster::coordinator::takeover_test {
namespace {

const ClusterName CLUSTER{"test"};
constexpr uint8_t SERVING = 3;
constexpr auto PATIENCE = 60 * kj::SECONDS;
// So long that nothing here happens because a session ended.
constexpr Duration SESSION = 8_s;

struct Info {
  uint64_t epoch = 0;
  uint8_t stage = 0;
};

class TakeoverTest : public testing::Test {
 public:
  ~TakeoverTest() noexcept override = default;

 protected:
  explicit TakeoverTest(bool viaRelays = false) : viaRelays(viaRelays) {
    transport = makeTlsTransport(loop.network(), loop.timer(), CLUSTER,
                                 processes.certificate({Role::COORDINATOR, "co1"}));
    bootstrap();
    for (size_t i = 0; i < processes.count(); i++) processes.start(i);
    leader = awaitLeader(0);
    awaitLine();
  }

  // The relays are ours: the event loop must turn meanwhile.
  void bootstrap() {
    auto pid = support::spawnProgram(
        "muster-coordinator", {"--config", processes.configPath(0), "--bootstrap"}, "/dev/stderr");
    await("the tree is made", [&] { return support::hasEnded(pid); });
    EXPECT_EQ(support::awaitEnd(pid).code, 0);
  }

  // How this coordinator reaches ZooKeeper.
  std::vector<std::string> zookeeperOf(size_t member) {
    if (!viaRelays) return zookeeper.addresses();
    auto relay = kj::heap<support::Relay>(loop, zookeeper.address(0));
    std::vector<std::string> addresses = {relay->address()};
    relays.insert_or_assign(member, kj::mv(relay));
    return addresses;
  }

  std::optional<Info> ask(size_t member) {
    std::optional<Info> info;
    auto asked =
        connectRpc(*transport, loop.timer(), processes.address(member), Role::COORDINATOR)
            .then([&](kj::Own<RpcConnection> connection) {
              auto hello = connection->bootstrap<schema::Gate>().helloRequest().send();
              return hello
                  .then([&](auto&& response) {
                    info = Info{response.getInfo().getEpoch(), response.getInfo().getStage()};
                  })
                  .attach(kj::mv(connection));
            });
    withDeadline(loop.timer(), 1_s, "hello", kj::mv(asked))
        .catch_([](kj::Exception&&) {})
        .wait(loop.waitScope());
    return info;
  }

  void await(const std::string& what, std::function<bool()> isSo) {
    auto deadline = loop.timer().now() + PATIENCE;
    while (!isSo()) {
      KJ_REQUIRE(loop.timer().now() < deadline, "waited in vain", what.c_str(), logs().c_str());
      loop.timer().afterDelay(5 * kj::MILLISECONDS).wait(loop.waitScope());
    }
  }

  kj::Own<RpcConnection> dial(size_t member) {
    return connectRpc(*transport, loop.timer(), processes.address(member), Role::COORDINATOR)
        .wait(loop.waitScope());
  }
  uint64_t wrongGuesses(size_t member) {
    auto connection = dial(member);
    auto gate = connection->bootstrap<schema::Gate>();
    return gate.helloRequest().send().wait(loop.waitScope()).getInfo().getWrongGuesses();
  }
  // Of its last committed check, as it tells its peers.
  uint64_t checkAgeMs(size_t member) {
    auto connection = dial(member);
    auto peer = connection->bootstrap<schema::Gate>().peerRequest().send().getPeer();
    auto beat = peer.heartbeatRequest().send().wait(loop.waitScope());
    return beat.getState().getCheckAgeMs();
  }
  // Asks `from` to hand over; comes to nothing while the successor does not stand in line.
  void handOver(size_t from, const std::string& successor) {
    auto admin = makeTlsTransport(loop.network(), loop.timer(), CLUSTER,
                                  processes.certificate({Role::ADMIN, "anna"}));
    auto connection = connectRpc(*admin, loop.timer(), processes.address(from), Role::COORDINATOR)
                          .wait(loop.waitScope());
    auto api = connection->bootstrap<schema::Gate>().apiRequest().send().getApi();
    auto request = api.stepDownRequest();
    request.setSuccessor(successor);
    request.send().ignoreResult().wait(loop.waitScope());
  }

  // Who serves in an epoch above `above`; a frozen one is not asked.
  size_t awaitLeader(uint64_t above, std::optional<size_t> frozen = std::nullopt) {
    size_t found = 0;
    await("a leader", [&] {
      for (size_t i = 0; i < processes.count(); i++) {
        if (processes.pid(i) == 0 || i == frozen) continue;
        auto info = ask(i);
        if (info && info->stage == SERVING && info->epoch > above) return found = i, true;
      }
      return false;
    });
    return found;
  }

  // Both others watch the leader: they stand in line and have heard it.
  void awaitLine() {
    await("all watch the leader", [&] {
      for (size_t i = 0; i < processes.count(); i++) {
        if (i != leader && !says(i, "watches the leader")) return false;
      }
      return true;
    });
  }

  bool says(size_t member, const std::string& text) {
    return processes.log(member).find(text) != std::string::npos;
  }
  bool anyoneSays(const std::string& text) {
    for (size_t i = 0; i < processes.count(); i++) {
      if (says(i, text)) return true;
    }
    return false;
  }
  std::string nameOf(size_t member) { return "co" + std::to_string(member + 1); }
  std::string logs() {
    std::string all;
    for (size_t i = 0; i < processes.count(); i++) {
      all += "--- " + nameOf(i) + "\n" + processes.log(i);
    }
    return all;
  }

  bool viaRelays;
  EventLoop loop;
  std::map<size_t, kj::Own<support::Relay>> relays;
  support::ZkServers zookeeper{1, SESSION / 4};
  support::CoordinatorProcesses processes{
      CLUSTER, [this](size_t member) { return zookeeperOf(member); }, 3, SESSION};
  kj::Own<Transport> transport;
  size_t leader = 0;
};

class CutOffTest : public TakeoverTest {
 protected:
  CutOffTest() : TakeoverTest(true) {}
  ~CutOffTest() noexcept override {}
};

TEST_F(TakeoverTest, aKilledLeaderIsReplacedLongBeforeItsSessionEnds) {
  uint64_t epoch = ask(leader)->epoch;
  auto killed = loop.timer().now();
  processes.kill(leader);
  awaitLeader(epoch);
  // Its candidate would stand for at least 0.8 of the session.
  EXPECT_LT(loop.timer().now() - killed, toKj(SESSION) / 2);
  EXPECT_TRUE(anyoneSays(nameOf(leader) + " is gone")) << logs();
  EXPECT_FALSE(anyoneSays("session of")) << logs();
}

TEST_F(TakeoverTest, aFrozenLeaderIsReplacedByAMajorityAndFollowsAfterwards) {
  uint64_t epoch = ask(leader)->epoch;
  auto frozen = loop.timer().now();
  processes.signal(leader, SIGSTOP);
  size_t next = awaitLeader(epoch, leader);
  EXPECT_LT(loop.timer().now() - frozen, toKj(SESSION) / 2);
  EXPECT_TRUE(anyoneSays(nameOf(leader) + " is silent")) << logs();

  // It thaws before its session would have ended: the guess was wrong, is counted, and costs
  // nothing but that one change of leader.
  uint64_t after = ask(next)->epoch;
  processes.signal(leader, SIGCONT);
  await("the old leader follows", [&] {
    auto info = ask(leader);
    return info && info->stage == 0 && info->epoch == after;
  });
  await("the wrong guess is noticed", [&] { return says(next, "was taken for dead and lives"); });
  EXPECT_EQ(ask(next)->stage, SERVING);
  EXPECT_EQ(ask(next)->epoch, after);
  EXPECT_EQ(after, epoch + 1);
}

// After a wrong guess about a peer nobody who made it takes that peer for dead for a minute: it is
// replaced when its session ends.
TEST_F(TakeoverTest, afterAWrongGuessOnlyTheEndOfTheSessionReplacesThatPeer) {
  size_t first = leader;
  uint64_t epoch = ask(first)->epoch;
  processes.signal(first, SIGSTOP);
  size_t next = awaitLeader(epoch, first);
  processes.signal(first, SIGCONT);
  await("the wrong guess is noticed", [&] { return says(next, "was taken for dead and lives"); });
  EXPECT_EQ(wrongGuesses(next), 1u);

  await("the old leader leads again", [&] {
    handOver(next, nameOf(first));
    auto info = ask(first);
    return info && info->stage == SERVING;
  });
  epoch = ask(first)->epoch;
  await("the guesser watches it", [&] {
    return says(next, "watches the leader coordinator=" + nameOf(next) +
                          " leader=" + nameOf(first) + " epoch=" + std::to_string(epoch));
  });
  processes.signal(first, SIGSTOP);
  awaitLeader(epoch, first);
  EXPECT_TRUE(anyoneSays("reason=\"session of " + nameOf(first) + " ended\"")) << logs();
  processes.signal(first, SIGCONT);
}

// Its peers still hear it, and hear from itself that it commits nothing any more.
TEST_F(CutOffTest, aLeaderThatZookeeperAloneDoesNotReachIsReplacedByAMajority) {
  uint64_t epoch = ask(leader)->epoch;
  auto cut = loop.timer().now();
  relays.at(leader)->cut();
  awaitLeader(epoch);
  EXPECT_LT(loop.timer().now() - cut, toKj(SESSION) / 2);
  EXPECT_TRUE(anyoneSays(nameOf(leader) + " is cut off")) << logs();
  relays.at(leader)->heal();
  await("the old leader follows", [&] {
    auto info = ask(leader);
    return info && info->stage == 0 && info->epoch > epoch;
  });
}

// Whoever cannot commit a check itself suspects nobody.
TEST_F(CutOffTest, whoIsCutOffItselfTakesNobodyForDead) {
  uint64_t epoch = ask(leader)->epoch;
  for (auto& [member, relay] : relays) relay->cut();
  await("the leader says that it commits nothing", [&] { return checkAgeMs(leader) > 2000; });
  EXPECT_FALSE(anyoneSays("is taken for dead")) << logs();
  for (auto& [member, relay] : relays) relay->heal();
  await("the leader commits again", [&] { return checkAgeMs(leader) < 300; });
  EXPECT_EQ(ask(leader)->epoch, epoch) << "nobody replaced it";
}

// Two of three are needed: one alone hears nothing and does nothing.
TEST_F(TakeoverTest, oneAloneTakesNobodyForDead) {
  uint64_t epoch = ask(leader)->epoch;
  size_t third = 3 - leader - (leader == 0 ? 1 : 0);
  size_t other = 3 - leader - third;
  processes.signal(third, SIGSTOP);
  processes.signal(leader, SIGSTOP);
  await("the other asks in vain", [&] { return says(other, "no majority suspects the leader"); });
  EXPECT_FALSE(anyoneSays("is taken for dead")) << logs();
  EXPECT_EQ(ask(other)->epoch, epoch);
  processes.signal(leader, SIGCONT);
  processes.signal(third, SIGCONT);
  await("the leader serves on", [&] {
    auto info = ask(leader);
    return info && info->stage == SERVING && info->epoch == epoch;
  });
}

}  // namespace
}  // namespace muster::coordinator::takeover_test

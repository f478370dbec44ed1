// The adapter against a real server: each test is a trap that was seen.
#include "failover/zookeeper.h"

#include "base/clock.h"
#include "tests/failover/zk_fixture.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace muster::failover::zookeeper_test {
namespace {

using ZookeeperTest = ZkTest;

TEST_F(ZookeeperTest, multiIsAllOrNothingAndNamesTheOpThatFailed) {
  auto session = connect();
  EXPECT_EQ(create(*session, "/a", "1"), ZkCode::OK);
  auto refused = patience.await(
      session->multi({checkOp("/a", 0), createOp("/b", ""), checkOp("/a", 7), removeOp("/a")}));
  EXPECT_EQ(refused.code, ZkCode::BAD_VERSION);
  ASSERT_EQ(refused.results.size(), 4u);
  EXPECT_EQ(refused.results[2].code, ZkCode::BAD_VERSION);
  EXPECT_EQ(refused.results[3].code, ZkCode::NOT_REACHED);
  EXPECT_EQ(patience.await(session->get("/b")).code, ZkCode::NO_NODE);

  auto done = patience.await(
      session->multi({setOp("/a", "2", 0), createOp("/s-", "", CreateMode::EPHEMERAL_SEQUENTIAL)}));
  EXPECT_EQ(done.code, ZkCode::OK);
  EXPECT_EQ(done.results[0].version, 1);
  EXPECT_EQ(done.results[1].path.size(), std::string("/s-0000000001").size());
  auto owner = patience.await(session->get(done.results[1].path));
  EXPECT_EQ(owner.stat.ephemeralOwner, session->sessionId());
  EXPECT_EQ(patience.await(session->get("/a")).data, "2");
}

TEST_F(ZookeeperTest, aWatchTellsCreationChangeAndRemoval) {
  auto session = connect();
  auto absent = patience.await(session->watch("/w"));
  EXPECT_EQ(absent.code, ZkCode::NO_NODE);
  create(*session, "/w", "");
  patience.await(kj::mv(absent.changed));
  auto present = patience.await(session->watch("/w"));
  EXPECT_EQ(present.code, ZkCode::OK);
  patience.await(session->multi({setOp("/w", "x", ANY_VERSION)}));
  patience.await(kj::mv(present.changed));
  auto again = patience.await(session->watch("/w"));
  patience.await(session->multi({removeOp("/w")}));
  patience.await(kj::mv(again.changed));
}

// Pitfall 19: watches that leak.
TEST_F(ZookeeperTest, manyLooksAtOnePathAreOneWatchOnTheServer) {
  auto session = connect();
  create(*session, "/w", "");
  for (int i = 0; i < 50; i++) (void)patience.await(session->watch("/w"));
  EXPECT_EQ(session->health().watches, 1u);
  EXPECT_NE(servers.ask(0, "wchs").find("Total watches:1\n"), std::string::npos)
      << servers.ask(0, "wchs");
}

// Pitfall 10 and 13: what happened while disconnected is not told, so every watch says "look again"
// on a loss.
TEST_F(ZookeeperTest, aLostConnectionWakesEveryWatchAndTheSessionGoesOn) {
  auto session = connect(options(4_s));
  int64_t id = session->sessionId();
  create(*session, "/w", "");
  auto watched = patience.await(session->watch("/w"));
  servers.kill(0);
  patience.await(kj::mv(watched.changed));
  EXPECT_EQ(session->state(), SessionState::CONNECTING);
  servers.start(0);
  ASSERT_TRUE(patience.until([&] { return session->state() == SessionState::CONNECTED; }));
  EXPECT_EQ(session->sessionId(), id);
  EXPECT_EQ(session->health().reconnects, 1u);
  EXPECT_EQ(patience.await(session->get("/w")).code, ZkCode::OK);
}

// Pitfall 4: a loss leaves the outcome unknown, and it is said so.
TEST_F(ZookeeperTest, requestsUnderWayWhenTheServerDiesHaveAnUnknownOutcome) {
  auto session = connect(options(4_s));
  servers.freeze(0);
  auto pending = session->multi({createOp("/x", "")});
  servers.kill(0);
  EXPECT_EQ(patience.await(kj::mv(pending)).code, ZkCode::CONNECTION_LOSS);
}

// Pitfall 4: an expiry is told on reconnect and ends the session for good; ephemerals are gone.
TEST_F(ZookeeperTest, anExpiryIsToldOnReconnectAndIsTheEnd) {
  auto session = connect(options(400_ms));
  auto other = connect(options(4_s));
  create(*session, "/e", "", CreateMode::EPHEMERAL);
  auto gone = patience.await(other->watch("/e"));
  auto watched = patience.await(session->watch("/other"));
  {
    // This loop does not run: as if the process had been stopped for longer than its session.
    auto deadline = SystemClock().steadyNow() + 10_s;
    while (servers.ask(0, "mntr").find("zk_ephemerals_count\t0") == std::string::npos) {
      ASSERT_LT(SystemClock().steadyNow(), deadline);
    }
  }
  patience.await(kj::mv(gone.changed));
  ASSERT_TRUE(patience.until([&] { return session->state() == SessionState::ENDED; }));
  EXPECT_EQ(patience.await(session->get("/e")).code, ZkCode::SESSION_ENDED);
  EXPECT_EQ(patience.await(session->multi({checkOp("/")})).code, ZkCode::SESSION_ENDED);
  patience.await(kj::mv(watched.changed));  // the loss before the end said "look again"
  EXPECT_EQ(patience.await(session->watch("/other")).code, ZkCode::SESSION_ENDED);
}

// Pitfall 15: the service rounds and clamps what is asked; it is read back.
TEST_F(ZookeeperTest, theGrantedSessionTimeoutIsReadBack) {
  auto wished = connect(options(2_s));
  EXPECT_EQ(wished->health().timeoutGranted, 2_s);
  auto tooShort = connect(options(100_ms));
  EXPECT_EQ(tooShort->health().timeoutAsked, 100_ms);
  EXPECT_EQ(tooShort->health().timeoutGranted, 400_ms);  // two ticks
}

// Pitfall 24: refused before it is sent; the server would drop the connection again and again.
TEST_F(ZookeeperTest, aRequestAbove512KibIsRefusedBeforeItIsSent) {
  auto session = connect();
  std::string path = "/big";
  EXPECT_EQ(create(*session, path, std::string(REQUEST_BYTES_MAX - path.size(), 'x')), ZkCode::OK);
  auto refused = kj::runCatchingExceptions(
      [&] { create(*session, "/big2", std::string(REQUEST_BYTES_MAX - path.size(), 'x')); });
  KJ_IF_MAYBE (exception, refused) {
    EXPECT_EQ(exception->getType(), kj::Exception::Type::FAILED);
  } else {
    ADD_FAILURE() << "an oversized request was sent";
  }
  EXPECT_EQ(session->state(), SessionState::CONNECTED);
  EXPECT_EQ(session->health().reconnects, 0u);
}

TEST_F(ZookeeperTest, closingEndsTheSessionOnTheServerAtOnce) {
  auto session = connect(options(4_s));
  auto other = connect(options(4_s));
  create(*session, "/e", "", CreateMode::EPHEMERAL);
  auto gone = patience.await(other->watch("/e"));
  auto ended = session->stateChanged();
  session->close();
  patience.await(kj::mv(gone.changed), 1 * kj::SECONDS);  // far less than the session
  patience.await(kj::mv(ended));
  EXPECT_EQ(session->state(), SessionState::ENDED);
}

TEST_F(ZookeeperTest, requestsBeforeTheCloseAreStillAnswered) {
  auto session = connect();
  std::vector<kj::Promise<MultiResult>> pending;
  for (int i = 0; i < 20; i++)
    pending.push_back(session->multi({createOp("/n" + std::to_string(i), "")}));
  session->close();
  for (auto& promise : pending) EXPECT_EQ(patience.await(kj::mv(promise)).code, ZkCode::OK);
  EXPECT_TRUE(patience.until([&] { return session->state() == SessionState::ENDED; }));
}

TEST_F(ZookeeperTest, destroyingASessionEndsItOnTheServerToo) {
  auto other = connect(options(4_s));
  auto session = connect(options(4_s));
  create(*session, "/e", "", CreateMode::EPHEMERAL);
  auto gone = patience.await(other->watch("/e"));
  session = nullptr;
  patience.await(kj::mv(gone.changed), 1 * kj::SECONDS);
}

// zookeeper_close() of the C client waits 1.5 s for a stopped server.
TEST_F(ZookeeperTest, neitherClosingNorDestroyingBlocksTheLoopWithAStoppedServer) {
  auto closed = connect();
  auto destroyed = connect();
  servers.freeze(0);
  (void)closed->multi({createOp("/never-answered", "")});
  SystemClock clock;
  SteadyTime begin = clock.steadyNow();
  closed->close();
  destroyed = nullptr;
  EXPECT_LT(clock.steadyNow() - begin, 100_ms);
  SteadyTime longest = clock.steadyNow();
  Duration gap{0};
  EXPECT_TRUE(patience.until([&] {
    gap = std::max(gap, clock.steadyNow() - longest);
    longest = clock.steadyNow();
    return closed->state() == SessionState::ENDED;
  }));
  EXPECT_LT(
      gap,
      300_ms);  // turns of 2 ms, on a machine that may be busy; the C client's wait is 1,500 ms
  servers.thaw(0);
}

// Its own request would never be asked for by the C client, which sends no ping while one is
// outstanding.
TEST_F(ZookeeperTest, theWatchdogSendsAnotherRequestWhenAnOpSeemsStuck) {
  auto session = connect(options(4_s));
  for (int i = 0; i < 5; i++) (void)patience.await(session->get("/"));
  uint64_t before = session->health().watchdogKicks;
  servers.freeze(0);
  auto pending = session->multi({createOp("/x", "")});
  EXPECT_TRUE(patience.until([&] { return session->health().watchdogKicks >= before + 3; },
                             2 * kj::SECONDS));
  EXPECT_EQ(session->state(), SessionState::CONNECTED);
  servers.thaw(0);
  EXPECT_EQ(patience.await(kj::mv(pending)).code, ZkCode::OK);
  uint64_t after = session->health().watchdogKicks;
  for (int i = 0; i < 5; i++) (void)patience.await(session->get("/"));
  EXPECT_LE(session->health().watchdogKicks, after + 1);  // quiet again
}

TEST_F(ZookeeperTest, anotherIdentityMayNeitherReadNorWriteNorWatch) {
  auto session = connect();
  create(*session, "/secret", "x");
  create(*session, "/secret/child", "y");
  auto strangerOptions = options();
  strangerOptions.digest = "muster:guess";
  auto stranger = connect(strangerOptions);
  for (const char* path : {"/secret", "/secret/child"}) {
    EXPECT_EQ(patience.await(stranger->get(path)).code, ZkCode::NO_AUTH) << path;
    EXPECT_EQ(patience.await(stranger->list(path)).code, ZkCode::NO_AUTH) << path;
    EXPECT_EQ(patience.await(stranger->multi({setOp(path, "z", ANY_VERSION)})).code,
              ZkCode::NO_AUTH)
        << path;
  }
  EXPECT_EQ(create(*stranger, "/secret/other"), ZkCode::NO_AUTH);
  EXPECT_EQ(patience.await(stranger->multi({removeOp("/secret/child")})).code, ZkCode::NO_AUTH);
}

TEST_F(ZookeeperTest, theIdentityHoldsAfterAReconnect) {
  auto session = connect(options(4_s));
  create(*session, "/secret", "x");
  servers.kill(0);
  servers.start(0);
  ASSERT_TRUE(patience.until([&] { return session->health().reconnects == 1; }));
  EXPECT_EQ(patience.await(session->get("/secret")).data, "x");
}

// The C client leaves it out: children would hold the session's socket open.
TEST_F(ZookeeperTest, theSessionsSocketIsCloseOnExec) {
  auto session = connect();
  int found = 0;
  for (int fd = 3; fd < 64; fd++) {
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0 ||
        peer.sin_family != AF_INET)
      continue;
    if ("127.0.0.1:" + std::to_string(ntohs(peer.sin_port)) != servers.address(0)) continue;
    found++;
    EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0) << fd;
  }
  EXPECT_EQ(found, 1);
}

TEST_F(ZookeeperTest, aServerNameInsteadOfAnAddressIsRefused) {
  auto named = options();
  named.servers = {"localhost:2181"};
  EXPECT_ANY_THROW(ZookeeperService(loop, named));
}

// Pitfall 14: a loop that was late acts on the session's real state, and no answer is lost or mixed
// up.
TEST_F(ZookeeperTest, aThousandRequestsInFlightAreAnsweredInOrder) {
  auto session = connect();
  create(*session, "/q", "");
  std::vector<int> order;
  kj::Vector<kj::Promise<void>> all;
  for (int i = 0; i < 1000; i++) {
    all.add(
        session->multi({setOp("/q", std::to_string(i), i)}).then([&order, i](MultiResult&& result) {
          EXPECT_EQ(result.code, ZkCode::OK) << i;
          order.push_back(i);
        }));
  }
  patience.await(kj::joinPromises(all.releaseAsArray()));
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(patience.await(session->get("/q")).stat.version, 1000);
}

}  // namespace
}  // namespace muster::failover::zookeeper_test

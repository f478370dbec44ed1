#include "base/rpc.h"

#include "base/co.h"
#include "base/event_loop.h"
#include "base/pki.h"
#include "base/tls_transport.h"
#include "tests/base/echo.capnp.h"
#include "tests/base/temporary_folder.h"

#include <gtest/gtest.h>
#include <kj/debug.h>

#include <string>
#include <vector>

namespace muster::rpc_test {
namespace {

const ClusterName CLUSTER{"test"};

// What a test sees of the server's objects.
struct Journal {
  int alive = 0;
  int calls = 0;
};

class EchoServer final : public Echo::Server {
 public:
  EchoServer(Journal& journal, RpcPeer peer) : journal_(journal), peer_(std::move(peer)) {
    journal_.alive++;
  }
  ~EchoServer() noexcept(false) { journal_.alive--; }

  kj::Promise<void> say(SayContext context) override { return sayCo(context); }
  kj::Promise<void> never(NeverContext context) override {
    journal_.calls++;
    context.allowCancellation();
    return kj::NEVER_DONE;
  }
  kj::Promise<void> child(ChildContext context) override {
    context.getResults().setEcho(kj::heap<EchoServer>(journal_, peer_));
    return kj::READY_NOW;
  }

 private:
  Co<void> sayCo(SayContext context) {
    journal_.calls++;
    co_await kj::evalLater([] {});
    context.getResults().setText(context.getParams().getText());
    context.getResults().setCaller(commonName(peer_.identity));
  }

  Journal& journal_;
  RpcPeer peer_;
};

class RpcTest : public testing::Test {
 public:
  RpcTest() { createCa(folder.path(), CLUSTER); }
  ~RpcTest() noexcept override = default;

 protected:
  template <class T>
  T within(kj::Promise<T> promise) {
    return loop.timer().timeoutAfter(20 * kj::SECONDS, kj::mv(promise)).wait(loop.waitScope());
  }
  template <class Condition>
  void until(Condition condition) {
    for (int i = 0; i < 4000 && !condition(); i++)
      within(loop.timer().afterDelay(5 * kj::MILLISECONDS));
    ASSERT_TRUE(condition());
  }
  kj::Own<Transport> transport(Role role, std::string name) {
    auto files = issueCertificate(
        folder.path(), {.identity = {role, std::move(name)}, .cluster = CLUSTER}, folder.path());
    return makeTlsTransport(loop.network(), loop.timer(), CLUSTER, files);
  }
  void serve(RpcLimits limits = {}) {
    serverTransport = transport(Role::COORDINATOR, "co1");
    server = kj::heap<RpcServer>(
        loop.timer(),
        [this](const RpcPeer& peer) -> capnp::Capability::Client {
          lastPeer = peer;
          return Echo::Client(kj::heap<EchoServer>(journal, peer));
        },
        limits);
    listener = within(serverTransport->listen("127.0.0.1:0", server->acceptor()));
  }
  kj::Own<RpcConnection> dial(Transport& client, RpcLimits limits = {}) {
    return within(connectRpc(client, loop.timer(), listener->address(), Role::COORDINATOR, limits));
  }
  static kj::Promise<std::string> say(Echo::Client echo, std::string text) {
    return sayCo(kj::mv(echo), std::move(text));
  }
  // A RemotePromise can be awaited as it is.
  static Co<std::string> sayCo(Echo::Client echo, std::string text) {
    auto request = echo.sayRequest();
    request.setText(text);
    auto response = co_await request.send();
    co_return std::string(response.getCaller().cStr()) + ":" + response.getText().cStr();
  }
  template <class T>
  kj::Exception failureOf(kj::Promise<T> promise) {
    auto failure = kj::runCatchingExceptions([&] { within(kj::mv(promise)); });
    return kj::mv(KJ_ASSERT_NONNULL(failure, "the call succeeded"));
  }

  TemporaryFolder folder;
  EventLoop loop;
  Journal journal;
  RpcPeer lastPeer;
  kj::Own<Transport> serverTransport;
  kj::Own<RpcServer> server;
  kj::Own<Listener> listener;
};

TEST_F(RpcTest, capabilityIsMadeForTheCertificateOfItsConnection) {
  serve();
  auto worker = transport(Role::WORKER, "w1");
  auto admin = transport(Role::ADMIN, "anna");
  auto first = dial(*worker);
  auto second = dial(*admin);
  EXPECT_EQ(within(say(first->bootstrap<Echo>(), "hello")), "worker/w1:hello");
  EXPECT_EQ(within(say(second->bootstrap<Echo>(), "hi")), "admin/anna:hi");
  EXPECT_EQ(first->peer(), (PeerIdentity{Role::COORDINATOR, "co1"}));
}

TEST_F(RpcTest, callsArePipelined) {
  serve();
  auto client = transport(Role::WORKER, "w1");
  auto connection = dial(*client);
  auto child = connection->bootstrap<Echo>().childRequest().send().getEcho();
  EXPECT_EQ(within(say(child, "deep")), "worker/w1:deep");
}

TEST_F(RpcTest, refusedClientReachesNoBootstrap) {
  serve();
  TemporaryFolder otherFolder;
  createCa(otherFolder.path(), CLUSTER);
  auto files =
      issueCertificate(otherFolder.path(), {.identity = {Role::ADMIN, "eve"}, .cluster = CLUSTER},
                       otherFolder.path());
  files.ca = folder / "ca.crt";
  auto client = makeTlsTransport(loop.network(), loop.timer(), CLUSTER, files);
  auto failure =
      failureOf(connectRpc(*client, loop.timer(), listener->address(), Role::COORDINATOR));
  EXPECT_EQ(failure.getType(), kj::Exception::Type::FAILED);
  EXPECT_EQ(lastPeer.connection, 0u) << "a capability was made";
  EXPECT_EQ(journal.calls, 0);
}

TEST_F(RpcTest, clientThatGoesTakesItsCapabilityAlong) {
  serve();
  auto client = transport(Role::WORKER, "w1");
  auto connection = dial(*client);
  within(say(connection->bootstrap<Echo>(), "hello"));
  EXPECT_EQ(journal.alive, 1);
  EXPECT_EQ(server->connectionCount(), 1u);
  connection = nullptr;
  until([&] { return journal.alive == 0; });
  EXPECT_EQ(server->connectionCount(), 0u);
}

TEST_F(RpcTest, callInFlightFailsWithDisconnectedWhenTheServerCloses) {
  serve();
  auto client = transport(Role::WORKER, "w1");
  auto connection = dial(*client);
  auto gone = connection->onDisconnect();
  auto call =
      connection->bootstrap<Echo>().neverRequest().send().ignoreResult().eagerlyEvaluate(nullptr);
  until([&] { return journal.calls == 1; });
  server->close(lastPeer.connection);
  EXPECT_EQ(failureOf(kj::mv(call)).getType(), kj::Exception::Type::DISCONNECTED);
  within(kj::mv(gone));
  EXPECT_EQ(server->connectionCount(), 0u);
}

TEST_F(RpcTest, callInFlightFailsWhenOurOwnSideGoes) {
  serve();
  auto client = transport(Role::WORKER, "w1");
  auto connection = dial(*client);
  auto echo = connection->bootstrap<Echo>();
  auto call = echo.neverRequest().send().ignoreResult().eagerlyEvaluate(nullptr);
  until([&] { return journal.calls == 1; });
  connection = nullptr;
  EXPECT_EQ(failureOf(kj::mv(call)).getType(), kj::Exception::Type::DISCONNECTED);
  EXPECT_EQ(failureOf(say(echo, "late")).getType(), kj::Exception::Type::DISCONNECTED);
}

TEST_F(RpcTest, serverAndListenerMayGoInTheMiddleOfCalls) {
  serve();
  auto client = transport(Role::WORKER, "w1");
  auto connection = dial(*client);
  auto call =
      connection->bootstrap<Echo>().neverRequest().send().ignoreResult().eagerlyEvaluate(nullptr);
  until([&] { return journal.calls == 1; });
  listener = nullptr;
  server = nullptr;
  EXPECT_EQ(failureOf(kj::mv(call)).getType(), kj::Exception::Type::DISCONNECTED);
  EXPECT_EQ(journal.alive, 0);
}

TEST_F(RpcTest, connectionsBeyondTheLimitAreClosed) {
  serve({.connectionsMax = 3, .connectionsPerPeerMax = 2});
  auto worker = transport(Role::WORKER, "w1");
  auto other = transport(Role::WORKER, "w2");
  auto first = dial(*worker);
  auto second = dial(*worker);
  auto third = dial(*worker);
  EXPECT_EQ(failureOf(say(third->bootstrap<Echo>(), "x")).getType(),
            kj::Exception::Type::DISCONNECTED);
  EXPECT_EQ(within(say(second->bootstrap<Echo>(), "y")), "worker/w1:y");
  auto fourth = dial(*other);
  EXPECT_EQ(within(say(fourth->bootstrap<Echo>(), "z")), "worker/w2:z");
  auto fifth = dial(*other);
  EXPECT_EQ(failureOf(say(fifth->bootstrap<Echo>(), "x")).getType(),
            kj::Exception::Type::DISCONNECTED);
  first = nullptr;
  until([&] { return server->connectionCount() == 2; });
  auto sixth = dial(*worker);
  EXPECT_EQ(within(say(sixth->bootstrap<Echo>(), "room again")), "worker/w1:room again");
}

TEST_F(RpcTest, tooLargeAMessageEndsTheConnectionNotTheServer) {
  serve({.messageBytesMax = 64 << 10});
  auto client = transport(Role::WORKER, "w1");
  auto connection = dial(*client);
  EXPECT_EQ(within(say(connection->bootstrap<Echo>(), std::string(1000, 'x'))).size(), 1010u);
  auto failure = failureOf(say(connection->bootstrap<Echo>(), std::string(100 << 10, 'x')));
  EXPECT_EQ(failure.getType(), kj::Exception::Type::DISCONNECTED);
  auto again = dial(*client);
  EXPECT_EQ(within(say(again->bootstrap<Echo>(), "fine")), "worker/w1:fine");
}

TEST_F(RpcTest, idleClientHearsThatTheServerIsGone) {
  serve();
  auto client = transport(Role::WORKER, "w1");
  auto connection = dial(*client);
  until([&] { return server->connectionCount() == 1; });
  listener = nullptr;
  server = nullptr;
  within(connection->onDisconnect());
}

TEST_F(RpcTest, closeAllClosesAll) {
  serve();
  auto client = transport(Role::WORKER, "w1");
  auto first = dial(*client);
  auto second = dial(*client);
  within(say(second->bootstrap<Echo>(), "x"));
  server->closeAll();
  within(first->onDisconnect());
  within(second->onDisconnect());
  EXPECT_EQ(server->connectionCount(), 0u);
}

}  // namespace
}  // namespace muster::rpc_test

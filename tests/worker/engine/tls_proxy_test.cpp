// The proxy between a real TLS client and a real socket of an engine.
#include "worker/engine/process/tls_proxy.h"

#include "base/pki.h"
#include "tests/base/temporary_folder.h"
#include "tests/support/tls_peer.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <optional>
#include <thread>

namespace muster::worker::tls_proxy_test {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using testing::HasSubstr;

const ClusterName CLUSTER{"prod"};

// The engine's side, on blocking sockets.
class Engine {
 public:
  Engine() : door_(loop_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {}
  uint16_t port() const { return door_.local_endpoint().port(); }
  tcp::socket accept() { return door_.accept(); }
  // Whether somebody has come so far.
  bool wasAsked() {
    error_code error;
    door_.non_blocking(true);
    tcp::socket ignored(loop_);
    door_.accept(ignored, error);
    return !error;
  }
  void close() { door_.close(); }

 private:
  asio::io_context loop_;
  tcp::acceptor door_;
};

std::string readToEnd(tcp::socket& socket) {
  std::string bytes;
  error_code error;
  asio::read(socket, asio::dynamic_buffer(bytes), error);
  return error == asio::error::eof ? bytes : bytes + " and then " + error.message();
}

std::string readSome(tcp::socket& socket, size_t count) {
  std::string bytes(count, '\0');
  asio::read(socket, asio::buffer(bytes));
  return bytes;
}

void answer(tcp::socket& socket, std::string_view bytes) {
  asio::write(socket, asio::buffer(bytes.data(), bytes.size()));
}

void reset(tcp::socket& socket) {
  socket.set_option(tcp::socket::linger(true, 0));
  socket.close();
}

// Bytes in which no piece looks like another.
std::string manyBytes(size_t count) {
  std::string bytes(count, '\0');
  uint64_t state = 1;
  for (char& byte : bytes) {
    state = state * 6364136223846793005 + 1442695040888963407;
    byte = static_cast<char>(state >> 56);
  }
  return bytes;
}

class TlsProxyTest : public testing::Test {
 protected:
  TlsProxyTest() { createCa(folder_.path(), CLUSTER); }
  ~TlsProxyTest() noexcept override {
    asio::post(loop_, [this] { loop_.stop(); });
    if (thread_.joinable()) thread_.join();
  }

  void start(TlsProxyLimits limits = {}) {
    proxy_.emplace(loop_,
                   TlsProxyOptions{.address = "127.0.0.1",
                                   .enginePort = engine_.port(),
                                   .tls = issue(Role::WORKER, "w1"),
                                   .limits = limits},
                   [this](const std::string& text) { refusals_.push_back(text); });
    auto listening = proxy_->listen();
    ASSERT_TRUE(listening.ok()) << listening.refusal().text;
    thread_ = std::thread([this] {
      auto work = asio::make_work_guard(loop_);
      loop_.run();
    });
  }

  TlsFiles issue(Role role, const char* name) {
    return issueCertificate(folder_.path(), {.identity = {role, name}, .cluster = CLUSTER},
                            folder_.path());
  }
  TlsPeer gateway() { return {proxy_->port(), issue(Role::GATEWAY, "gw1")}; }

  // On the proxy's thread.
  template <class Ask>
  auto ask(Ask question) {
    std::packaged_task<decltype(question())()> task(question);
    auto result = task.get_future();
    asio::post(loop_, [&task] { task(); });
    return result.get();
  }
  void waitUntilNobodyIsConnected() {
    while (ask([this] { return proxy_->connections(); }) != 0) std::this_thread::yield();
  }

  TemporaryFolder folder_;
  Engine engine_;
  std::vector<std::string> refusals_;
  asio::io_context loop_{1};
  std::optional<TlsProxy> proxy_;
  std::thread thread_;
};

TEST_F(TlsProxyTest, carriesBytesBothWays) {
  start();
  auto client = gateway();
  client.send("ask");
  auto engine = engine_.accept();
  EXPECT_EQ(readSome(engine, 3), "ask");
  answer(engine, "and answer");
  EXPECT_EQ(client.read(10), "and answer");
  client.send("again");
  EXPECT_EQ(readSome(engine, 5), "again");
  engine.close();
  auto rest = client.readToEnd();
  EXPECT_EQ(rest.bytes, "");
  EXPECT_EQ(rest.end, TlsEnd::WHOLE);
}

TEST_F(TlsProxyTest, aPeerWithoutACertificateIsRefused) {
  start();
  TlsPeer stranger(proxy_->port(), {.ca = folder_ / "ca.crt", .certificate = "", .key = ""});
  stranger.send("ask");
  EXPECT_EQ(stranger.readToEnd().bytes, "");
  waitUntilNobodyIsConnected();
  EXPECT_FALSE(engine_.wasAsked());
}

TEST_F(TlsProxyTest, aPeerOfAnotherAuthorityIsRefused) {
  start();
  TemporaryFolder other;
  createCa(other.path(), CLUSTER);
  auto files = issueCertificate(
      other.path(), {.identity = {Role::GATEWAY, "gw1"}, .cluster = CLUSTER}, other.path());
  TlsPeer stranger(proxy_->port(), {folder_ / "ca.crt", files.certificate, files.key});
  stranger.send("ask");
  EXPECT_EQ(stranger.readToEnd().bytes, "");
  waitUntilNobodyIsConnected();
  EXPECT_FALSE(engine_.wasAsked());
}

TEST_F(TlsProxyTest, aPeerOfAnotherRoleIsRefusedByName) {
  start();
  for (Role role : ALL_ROLES) {
    if (role == Role::GATEWAY) continue;
    SCOPED_TRACE(toText(role));
    TlsPeer stranger(proxy_->port(), issue(role, "x"));
    stranger.send("ask");
    EXPECT_EQ(stranger.readToEnd().bytes, "");
    waitUntilNobodyIsConnected();
    EXPECT_FALSE(engine_.wasAsked());
    EXPECT_THAT(refusals_.back(), HasSubstr(std::string(toText(role)) + "/x may not ask"));
  }
}

TEST_F(TlsProxyTest, plainTextIsNotAnswered) {
  start();
  asio::io_context loop;
  tcp::socket client(loop);
  client.connect({asio::ip::address_v4::loopback(), proxy_->port()});
  answer(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(readToEnd(client), testing::Not(HasSubstr("HTTP")));
  EXPECT_FALSE(engine_.wasAsked());
}

// The client ends its half; the engine has all of it, and answers after that.
TEST_F(TlsProxyTest, bigBodiesPassBothWaysAroundAHalfClose) {
  start();
  std::string question = manyBytes(16 << 20);
  std::string wanted = manyBytes(20 << 20);
  std::string seen;
  std::thread engine([&] {
    auto socket = engine_.accept();
    seen = readToEnd(socket);
    answer(socket, wanted);
  });
  auto client = gateway();
  EXPECT_TRUE(client.send(question));
  client.endSending();
  auto rest = client.readToEnd();
  engine.join();
  EXPECT_TRUE(seen == question) << seen.size();
  EXPECT_TRUE(rest.bytes == wanted) << rest.bytes.size();
  EXPECT_EQ(rest.end, TlsEnd::WHOLE);
  waitUntilNobodyIsConnected();
}

// What an engine does not read stays with the client, but for the kernels' buffers.
TEST_F(TlsProxyTest, aSlowEngineHoldsItsClientUp) {
  constexpr size_t MORE_THAN_BUFFERS = 256 << 20;
  constexpr int BLOCKED_MS = 500;
  start();
  auto client = gateway();
  auto engine = engine_.accept();
  std::string piece = manyBytes(64 << 10);
  size_t sent = 0;
  while (sent < MORE_THAN_BUFFERS) {
    size_t more = client.sendSome(piece, BLOCKED_MS);
    if (more == 0) break;
    sent += more;
  }
  EXPECT_GT(sent, 0u);
  EXPECT_LT(sent, MORE_THAN_BUFFERS);
}

TEST_F(TlsProxyTest, anEngineThatBreaksOffGivesNoWholeAnswer) {
  start();
  auto client = gateway();
  client.send("ask");
  auto engine = engine_.accept();
  readSome(engine, 3);
  answer(engine, "half of");
  EXPECT_EQ(client.read(7), "half of");
  reset(engine);
  EXPECT_EQ(client.readToEnd().end, TlsEnd::BROKEN);
  waitUntilNobodyIsConnected();
}

TEST_F(TlsProxyTest, withoutAnEngineTheConnectionIsClosedAtOnce) {
  start({.engineConnect = 60_min});
  engine_.close();
  auto client = gateway();
  client.send("ask");
  EXPECT_EQ(client.readToEnd().bytes, "");
  waitUntilNobodyIsConnected();
}

TEST_F(TlsProxyTest, aClientThatVanishesTakesItsRequestAlong) {
  start();
  auto client = gateway();
  client.send("ask");
  auto engine = engine_.accept();
  readSome(engine, 3);
  client.vanish();
  EXPECT_THAT(readToEnd(engine), HasSubstr("reset by peer"));
  waitUntilNobodyIsConnected();
}

TEST_F(TlsProxyTest, aClientThatStaysAfterTheEndIsClosed) {
  start({.linger = 50_ms});
  auto client = gateway();
  client.send("ask");
  auto engine = engine_.accept();
  readSome(engine, 3);
  engine.close();
  waitUntilNobodyIsConnected();  // though the client has not ended
  EXPECT_EQ(client.readToEnd().end, TlsEnd::WHOLE);
}

TEST_F(TlsProxyTest, beyondItsLimitConnectionsAreClosedAtOnce) {
  start({.connections = 1});
  auto first = gateway();
  first.send("ask");
  auto engine = engine_.accept();
  auto second = gateway();
  second.send("ask");
  EXPECT_EQ(second.readToEnd().bytes, "");
  first.vanish();
  waitUntilNobodyIsConnected();
  auto third = gateway();
  third.send("ask");
  auto again = engine_.accept();
  EXPECT_EQ(readSome(again, 3), "ask");
}

TEST_F(TlsProxyTest, aHandshakeThatNeverComesEndsAtItsDeadline) {
  start({.handshake = 50_ms});
  asio::io_context loop;
  tcp::socket client(loop);
  client.connect({asio::ip::address_v4::loopback(), proxy_->port()});
  EXPECT_EQ(readToEnd(client), "");
  waitUntilNobodyIsConnected();
}

TEST_F(TlsProxyTest, whenTheEngineIsGoneItGivesOnWhatIsLeftAndEnds) {
  start();
  auto client = gateway();
  client.send("ask");
  std::promise<void> drained;
  {
    auto engine = engine_.accept();
    readSome(engine, 3);
    answer(engine, "last words");
  }
  ask([&] { proxy_->drain([&] { drained.set_value(); }); });
  auto rest = client.readToEnd();
  EXPECT_EQ(rest.bytes, "last words");
  EXPECT_EQ(rest.end, TlsEnd::WHOLE);
  client.vanish();
  drained.get_future().wait();
  EXPECT_ANY_THROW(gateway());
}

TEST_F(TlsProxyTest, showsANewCertificateOnceItsFilesAreReplaced) {
  start({.renewal = 5_ms});
  std::string before = gateway().peerSerial();
  ASSERT_NE(before, "");
  issue(Role::WORKER, "w1");
  while (gateway().peerSerial() == before) std::this_thread::yield();
}

TEST_F(TlsProxyTest, keepsItsCertificateWhenTheNewOneCannotBeUsed) {
  start({.renewal = 1_ms});
  std::string before = gateway().peerSerial();
  std::ofstream(folder_ / "worker-w1.crt") << "no certificate";
  for (int i = 0; i < 5; ++i) EXPECT_EQ(gateway().peerSerial(), before);
  issue(Role::WORKER, "w1");
  while (gateway().peerSerial() == before) std::this_thread::yield();
}

TEST(TlsProxy, aPortThatIsTakenIsNamed) {
  TemporaryFolder folder;
  createCa(folder.path(), CLUSTER);
  Engine other;
  asio::io_context loop;
  TlsProxy proxy(
      loop,
      {.address = "127.0.0.1",
       .port = other.port(),
       .enginePort = 1,
       .tls = issueCertificate(
           folder.path(), {.identity = {Role::WORKER, "w1"}, .cluster = CLUSTER}, folder.path())},
      [](const std::string&) {});
  auto listening = proxy.listen();
  ASSERT_FALSE(listening.ok());
  EXPECT_EQ(listening.refusal().code, RefusalCode::PORT_IN_USE);
  EXPECT_THAT(listening.refusal().text, HasSubstr(std::to_string(other.port())));
}

}  // namespace
}  // namespace muster::worker::tls_proxy_test

// Real TLS over loopback: who is let in, who is not, and that nobody is told of a connection before
// it is verified.
#include "base/co.h"
#include "base/event_loop.h"
#include "base/pki.h"
#include "base/reload.h"
#include "base/tls_transport.h"
#include "tests/base/temporary_folder.h"
#include "tests/base/tls_client.h"

#include <capnp/message.h>
#include <capnp/schema.capnp.h>
#include <gtest/gtest.h>
#include <kj/compat/tls.h>
#include <kj/debug.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace muster::transport_test {
namespace {

const ClusterName CLUSTER{"test"};

// An authority with certificates of several roles.
class Authority {
 public:
  Authority() { createCa(folder_.path(), CLUSTER); }
  TlsFiles issue(Role role, std::string name) {
    return issue({.identity = {role, std::move(name)}, .cluster = CLUSTER});
  }
  TlsFiles issue(const CertificateRequest& request) {
    return issueCertificate(folder_.path(), request, folder_.path());
  }
  std::string caFile() const { return folder_ / "ca.crt"; }
  const std::string& folder() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

class TransportTest : public testing::Test {
 public:
  ~TransportTest() noexcept override = default;

 protected:
  template <class T>
  T within(kj::Promise<T> promise) {
    return loop.timer().timeoutAfter(20 * kj::SECONDS, kj::mv(promise)).wait(loop.waitScope());
  }
  kj::Own<Transport> transport(const TlsFiles& files, TlsLimits limits = {}) {
    return makeTlsTransport(loop.network(), loop.timer(), CLUSTER, files, limits);
  }
  void serve(TlsLimits limits = {}) {
    server = transport(authority.issue(Role::COORDINATOR, "co1"), limits);
    serveWith(*server);
  }
  void serveWith(Transport& transport) {
    listener = within(transport.listen("127.0.0.1:0", [this](kj::Own<Connection> connection) {
      accepted.push_back(kj::mv(connection));
      KJ_IF_MAYBE (waiting, onAccepted) {
        (*waiting)->fulfill();
      }
    }));
  }
  // The type of the exception that connecting ends with; nothing when it succeeds.
  kj::Maybe<kj::Exception> connectFailure(Transport& client, Role expected = Role::COORDINATOR) {
    return kj::runCatchingExceptions(
        [&] { within(client.connect(listener->address(), expected)); });
  }
  void expectFailed(kj::Maybe<kj::Exception> failure) {
    KJ_IF_MAYBE (e, failure) {
      EXPECT_EQ(e->getType(), kj::Exception::Type::FAILED) << kj::str(*e).cStr();
    } else {
      ADD_FAILURE() << "connected";
    }
    EXPECT_TRUE(accepted.empty());
  }
  // Lets the server answer while `client` works in a thread of its own.
  std::string outcomeOf(const ForeignTlsClient& client) {
    auto outcome = client.run(portOf(listener->address()));
    return within(kj::mv(outcome));
  }

  EventLoop loop;
  Authority authority;
  kj::Own<Transport> server;
  std::vector<kj::Own<Connection>> accepted;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> onAccepted;
  kj::Own<Listener> listener;
};

TEST_F(TransportTest, bothSidesKnowEachOther) {
  serve();
  auto client = transport(authority.issue(Role::WORKER, "w1"));
  auto connection = within(client->connect(listener->address(), Role::COORDINATOR));
  EXPECT_EQ(connection->peer, (PeerIdentity{Role::COORDINATOR, "co1"}));
  ASSERT_EQ(accepted.size(), 1u);
  EXPECT_EQ(accepted[0]->peer, (PeerIdentity{Role::WORKER, "w1"}));
  EXPECT_EQ(accepted[0]->peerAddress.substr(0, 10), "127.0.0.1:");
}

TEST_F(TransportTest, messagesOfManySegmentsArriveWhole) {
  serve();
  auto client = transport(authority.issue(Role::WORKER, "w1"));
  auto connection = within(client->connect(listener->address(), Role::COORDINATOR));
  capnp::MallocMessageBuilder message(8, capnp::AllocationStrategy::FIXED_SIZE);
  auto names = message.initRoot<capnp::schema::Node>().initNestedNodes(500);
  for (uint i = 0; i < 500; i++) names[i].setName(kj::str("name ", i));
  ASSERT_GT(message.getSegmentsForOutput().size(), 1u);
  auto sent = connection->stream->writeMessage(message).eagerlyEvaluate(nullptr);
  auto reader = within(accepted[0]->stream->readMessage());
  within(kj::mv(sent));
  auto read = reader->getRoot<capnp::schema::Node>().getNestedNodes();
  ASSERT_EQ(read.size(), 500u);
  for (uint i = 0; i < 500; i++) ASSERT_EQ(read[i].getName(), kj::str("name ", i));
}

TEST_F(TransportTest, readsCertificatesAgainAndKeepsItsConnections) {
  auto files = authority.issue(Role::COORDINATOR, "co1");
  auto reloadable = makeReloadableTransport(loop.network(), loop.timer(), CLUSTER, files);
  auto* certificates = reloadable.get();
  server = kj::mv(reloadable);
  serveWith(*server);
  auto client = transport(authority.issue(Role::WORKER, "w1"));
  auto before = within(client->connect(listener->address(), Role::COORDINATOR));
  authority.issue(Role::COORDINATOR, "co2");
  for (const char* kind : {".crt", ".key"}) {
    std::filesystem::copy_file(authority.folder() + "/coordinator-co2" + kind,
                               authority.folder() + "/coordinator-co1" + kind,
                               std::filesystem::copy_options::overwrite_existing);
  }
  certificates->reload();
  auto after = within(client->connect(listener->address(), Role::COORDINATOR));
  EXPECT_EQ(after->peer.name, "co2");
  capnp::MallocMessageBuilder message;
  message.initRoot<capnp::schema::Node>().setId(7);
  auto sent = before->stream->writeMessage(message).eagerlyEvaluate(nullptr);
  auto read = within(accepted[0]->stream->readMessage());
  EXPECT_EQ(read->getRoot<capnp::schema::Node>().getId(), 7u);
  within(kj::mv(sent));
}

TEST_F(TransportTest, keepsItsCertificatesWhenTheNewOnesCannotBeRead) {
  auto files = authority.issue(Role::COORDINATOR, "co1");
  auto reloadable = makeReloadableTransport(loop.network(), loop.timer(), CLUSTER, files);
  auto* certificates = reloadable.get();
  server = kj::mv(reloadable);
  serveWith(*server);
  std::ofstream(files.certificate) << "no certificate";
  EXPECT_TRUE(kj::runCatchingExceptions([&] { certificates->reload(); }) != nullptr);
  auto client = transport(authority.issue(Role::WORKER, "w1"));
  EXPECT_EQ(within(client->connect(listener->address(), Role::COORDINATOR))->peer.name, "co1");
}

TEST_F(TransportTest, refusesTheSameNameOfAnotherAuthority) {
  serve();
  Authority other;  // same cluster name, other key
  auto files = other.issue(Role::WORKER, "w1");
  files.ca = authority.caFile();  // so that the client trusts the server
  auto client = transport(files);
  expectFailed(connectFailure(*client));
}

TEST_F(TransportTest, clientRefusesAServerOfAnotherAuthority) {
  serve();
  Authority other;
  auto client = transport(other.issue(Role::WORKER, "w1"));
  expectFailed(connectFailure(*client));
}

TEST_F(TransportTest, refusesAnExpiredCertificate) {
  serve();
  auto client = transport(authority.issue({.identity = {Role::WORKER, "w1"},
                                           .cluster = CLUSTER,
                                           .notBefore = Duration{} - 2_min,
                                           .notAfter = Duration{} - 1_min}));
  expectFailed(connectFailure(*client));
}

TEST_F(TransportTest, refusesACertificateNotYetValid) {
  serve();
  auto client = transport(authority.issue({.identity = {Role::WORKER, "w1"},
                                           .cluster = CLUSTER,
                                           .notBefore = 60_min,
                                           .notAfter = 120_min}));
  expectFailed(connectFailure(*client));
}

TEST_F(TransportTest, clientRefusesAServerOfAnotherRole) {
  server = transport(authority.issue(Role::WORKER, "w1"));  // a worker that plays coordinator
  listener = within(server->listen("127.0.0.1:0", [this](kj::Own<Connection> connection) {
    accepted.push_back(kj::mv(connection));
  }));
  auto client = transport(authority.issue(Role::WORKER, "w2"));
  expectFailed(connectFailure(*client));
}

TEST_F(TransportTest, clientRefusesAServerOfAnotherCluster) {
  serve();
  auto client = makeTlsTransport(loop.network(), loop.timer(), ClusterName{"other"},
                                 authority.issue(Role::WORKER, "w1"));
  expectFailed(connectFailure(*client));
}

TEST_F(TransportTest, refusesACertificateWhoseCommonNameIsNoIdentity) {
  serve();
  auto client =
      transport(authority.issue({.identity = {Role::WORKER, "Not A Name"}, .cluster = CLUSTER}));
  expectFailed(connectFailure(*client));
}

TEST_F(TransportTest, refusesAClientWithoutCertificate) {
  serve();
  EXPECT_NE(outcomeOf({.ca = authority.caFile()}), "verdict 1");
  EXPECT_TRUE(accepted.empty());
}

// Nobody would come back with one.
TEST_F(TransportTest, givesNoTicketsToResumeASession) {
  serve();
  auto files = authority.issue(Role::WORKER, "w1");
  ForeignTlsClient client{.ca = files.ca, .certificate = files.certificate, .key = files.key};
  EXPECT_EQ(outcomeOf(client), "verdict 1");
}

TEST_F(TransportTest, refusesTls12ButTakesTheSameClientWith13) {
  serve();
  auto files = authority.issue(Role::WORKER, "w1");
  ForeignTlsClient client{.ca = files.ca, .certificate = files.certificate, .key = files.key};
  EXPECT_EQ(outcomeOf(client), "verdict 1");
  accepted.clear();
  client.maximumVersion = TlsVersionLimit::TLS_1_2;
  auto outcome = outcomeOf(client);
  EXPECT_NE(outcome.find("protocol version"), std::string::npos) << outcome;
  EXPECT_TRUE(accepted.empty());
}

TEST_F(TransportTest, refusesPlainText) {
  serve();
  auto address = within(loop.network().parseAddress(listener->address().c_str()));
  auto plain = within(address->connect());
  within(plain->write("GET / HTTP/1.1\r\n\r\n", 18));
  kj::Array<kj::byte> answer = kj::heapArray<kj::byte>(1000);
  // At most an alert comes before the end.
  kj::runCatchingExceptions(
      [&] { EXPECT_LT(within(plain->tryRead(answer.begin(), 1000, 1000)), 100u); });
  EXPECT_TRUE(accepted.empty());
}

TEST_F(TransportTest, nobodyListeningIsDisconnected) {
  serve();
  auto address = listener->address();
  listener = nullptr;
  auto client = transport(authority.issue(Role::WORKER, "w1"));
  auto failure =
      kj::runCatchingExceptions([&] { within(client->connect(address, Role::COORDINATOR)); });
  EXPECT_EQ(KJ_ASSERT_NONNULL(failure).getType(), kj::Exception::Type::DISCONNECTED);
}

TEST_F(TransportTest, silentClientIsDroppedAndServerThatNeverAnswersIsOverloaded) {
  TlsLimits limits{.handshakeDeadline = 50_ms};
  serve(limits);
  auto address = within(loop.network().parseAddress(listener->address().c_str()));
  auto silent = within(address->connect());
  char byte;
  EXPECT_EQ(within(silent->tryRead(&byte, 1, 1)), 0u) << "the server hangs up after its deadline";

  auto mute = within(loop.network().parseAddress("127.0.0.1:0"))->listen();
  auto client = transport(authority.issue(Role::WORKER, "w1"), limits);
  auto failure = kj::runCatchingExceptions([&] {
    within(client->connect("127.0.0.1:" + std::to_string(mute->getPort()), Role::COORDINATOR));
  });
  EXPECT_EQ(KJ_ASSERT_NONNULL(failure).getType(), kj::Exception::Type::OVERLOADED);
}

TEST_F(TransportTest, unfinishedHandshakesDoNotKeepOthersOutForEver) {
  serve({.handshakeDeadline = 50_ms, .pendingHandshakesMax = 2});
  auto address = within(loop.network().parseAddress(listener->address().c_str()));
  std::vector<kj::Own<kj::AsyncIoStream>> silent;
  silent.reserve(10);
  for (int i = 0; i < 10; i++) silent.push_back(within(address->connect()));
  auto client = transport(authority.issue(Role::WORKER, "w1"));
  within(client->connect(listener->address(), Role::COORDINATOR));
  EXPECT_EQ(accepted.size(), 1u);
}

TEST_F(TransportTest, acceptsAFewAtOnceAndTheOthersAfterAPause) {
  serve({.acceptsAtOnce = 2, .acceptPause = 1_ms});
  auto client = transport(authority.issue(Role::WORKER, "w1"));
  std::vector<kj::Promise<kj::Own<Connection>>> dialled;
  dialled.reserve(7);
  for (int i = 0; i < 7; i++) {
    dialled.push_back(client->connect(listener->address(), Role::COORDINATOR));
  }
  for (auto& connection : dialled) EXPECT_EQ(within(kj::mv(connection))->peer.name, "co1");

  serve({.acceptsAtOnce = 1, .acceptPause = 1_min});
  auto impatient = transport(authority.issue(Role::WORKER, "w2"), {.handshakeDeadline = 500_ms});
  within(impatient->connect(listener->address(), Role::COORDINATOR));
  auto failure = connectFailure(*impatient);
  EXPECT_EQ(KJ_ASSERT_NONNULL(failure).getType(), kj::Exception::Type::OVERLOADED);
}

TEST_F(TransportTest, droppedListenerCancelsHandshakesAndKeepsConnections) {
  serve();
  auto client = transport(authority.issue(Role::WORKER, "w1"));
  auto connection = within(client->connect(listener->address(), Role::COORDINATOR));
  auto address = within(loop.network().parseAddress(listener->address().c_str()));
  auto silent = within(address->connect());
  listener = nullptr;
  capnp::MallocMessageBuilder message;
  message.initRoot<capnp::schema::Node>().setId(7);
  within(connection->stream->writeMessage(message));
  EXPECT_EQ(within(accepted[0]->stream->readMessage())->getRoot<capnp::schema::Node>().getId(), 7u);
}

TEST_F(TransportTest, missingFileIsNamed) {
  auto files = authority.issue(Role::WORKER, "w1");
  files.key = "/no/such/key.pem";
  auto failure = kj::runCatchingExceptions([&] { transport(files); });
  EXPECT_NE(std::string(kj::str(KJ_ASSERT_NONNULL(failure)).cStr()).find("/no/such/key.pem"),
            std::string::npos);
}

TEST(Role, humanRolesIncludeTheLowerOnesAndMachinesOnlyThemselves) {
  for (Role held : ALL_ROLES) {
    for (Role needed : ALL_ROLES) {
      bool human = held >= Role::VIEWER && needed >= Role::VIEWER;
      EXPECT_EQ(includes(held, needed), held == needed || (human && held > needed))
          << toText(held) << " " << toText(needed);
    }
  }
}

TEST(Role, commonNamesRoundTripAndOddOnesAreNothing) {
  for (Role role : ALL_ROLES) {
    PeerIdentity identity{role, "node-7"};
    EXPECT_EQ(parseCommonName(commonName(identity)), identity);
  }
  for (auto odd : {"", "worker", "worker/", "/w1", "root/w1", "worker/W1", "worker/a/b",
                   "worker/../x", "Worker/w1"}) {
    EXPECT_EQ(parseCommonName(odd), std::nullopt) << odd;
  }
}

}  // namespace
}  // namespace muster::transport_test

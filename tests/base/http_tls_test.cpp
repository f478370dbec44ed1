// The HTTP port behind TLS: who is let in, and who the handler is told it is.
#include "base/pki.h"
#include "tests/base/http_fixture.h"
#include "tests/base/temporary_folder.h"
#include "tests/base/tls_client.h"

#include <kj/compat/tls.h>

namespace muster::http_tls_test {
namespace {

constexpr const char* CLUSTER = "prod";
constexpr const char* GET_AND_CLOSE = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

struct Authority {
  Authority() { createCa(folder.path(), ClusterName{CLUSTER}); }
  TlsFiles issue(Role role, const char* name) {
    return issueCertificate(
        folder.path(), {.identity = {role, name}, .cluster = ClusterName{CLUSTER}}, folder.path());
  }
  TemporaryFolder folder;
};

class HttpTls : public HttpServerTest {
 public:
  ~HttpTls() noexcept override {}

 protected:
  void SetUp() override { start(describing(), {}, authority_.issue(Role::COORDINATOR, "co1")); }

  // Asks through kj's TLS; shows a certificate unless `own` is null.
  std::string ask(const TlsFiles* own, std::string_view words = GET_AND_CLOSE) {
    kj::TlsContext::Options options;
    options.useSystemTrustStore = false;
    auto ca = contentOf(authority_.folder / "ca.crt");
    kj::TlsCertificate trusted{kj::StringPtr(ca.c_str())};
    options.trustedCertificates = kj::arrayPtr(&trusted, 1);
    kj::Maybe<kj::TlsKeypair> pair;
    if (own != nullptr) {
      auto key = contentOf(own->key);
      auto certificate = contentOf(own->certificate);
      pair = kj::TlsKeypair{kj::TlsPrivateKey(kj::StringPtr(key.c_str())),
                            kj::TlsCertificate(kj::StringPtr(certificate.c_str()))};
      KJ_IF_MAYBE (keypair, pair) {
        options.defaultKeypair = *keypair;
      }
    }
    kj::TlsContext tls(kj::mv(options));
    auto address =
        io_.provider->getNetwork().parseAddress("127.0.0.1", server_->port()).wait(io_.waitScope);
    auto raw = address->connect().wait(io_.waitScope);
    RawClient client(await(tls.wrapClient(kj::mv(raw), "coordinator.prod.muster")), io_.waitScope,
                     timer());
    client.send(words);
    return client.readToEnd();
  }

  Authority authority_;
};

TEST_F(HttpTls, theNameInTheCertificateReachesTheHandler) {
  auto anna = authority_.issue(Role::VIEWER, "anna");
  auto answer = ask(&anna);
  EXPECT_NE(answer.find("peer viewer/anna\n"), std::string::npos) << answer;
}

TEST_F(HttpTls, withoutACertificateThereIsNoIdentity) {
  auto answer = ask(nullptr);
  EXPECT_NE(answer.find("peer none\n"), std::string::npos) << answer;
}

TEST_F(HttpTls, takesNewCertificatesAndKeepsTheOldOnesWhenTheyCannotBeRead) {
  auto anna = authority_.issue(Role::VIEWER, "anna");
  authority_.issue(Role::COORDINATOR, "co1");  // replaces the files with a new pair
  EXPECT_TRUE(server_->reloadTls().ok());
  EXPECT_NE(ask(&anna).find("peer viewer/anna\n"), std::string::npos);
  std::ofstream(authority_.folder / "coordinator-co1.key") << "no key";
  EXPECT_EQ(server_->reloadTls().refusal().code, RefusalCode::INVALID_VALUE);
  EXPECT_NE(ask(&anna).find("peer viewer/anna\n"), std::string::npos);
}

TEST_F(HttpTls, largeBodiesPassBothWays) {
  std::string body(900'000, 'x');
  auto answer = ask(
      nullptr,
      "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 900000\r\n\r\n" + body);
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 "));
  EXPECT_GT(answer.size(), body.size());
}

TEST_F(HttpTls, aCertificateOfAnotherAuthorityIsTurnedAway) {
  Authority other;
  auto mallory = other.issue(Role::ADMIN, "mallory");
  ForeignTlsClient client{authority_.folder / "ca.crt", mallory.certificate, mallory.key};
  auto outcome = await(client.run(server_->port()));
  EXPECT_NE(outcome.find("alert"), std::string::npos) << outcome;
  EXPECT_TRUE(requests_.empty());
}

TEST_F(HttpTls, tls12IsTurnedAway) {
  ForeignTlsClient client{authority_.folder / "ca.crt", "", "", TlsVersionLimit::TLS_1_2};
  auto outcome = await(client.run(server_->port()));
  EXPECT_NE(outcome.find("protocol version"), std::string::npos) << outcome;
}

TEST_F(HttpTls, plainHttpIsNotAnswered) {
  auto client = connect();
  client.send(GET_AND_CLOSE);
  // An alert or a reset; never an answer.
  std::string answer;
  auto broken = kj::runCatchingExceptions([&] { answer = client.readToEnd(); });
  KJ_IF_MAYBE (exception, broken) {
    EXPECT_EQ(exception->getType(), kj::Exception::Type::DISCONNECTED);
  }
  EXPECT_EQ(answer.find("HTTP"), std::string::npos);
  EXPECT_TRUE(requests_.empty());
}

TEST_F(HttpTls, aHandshakeThatNeverComesEndsAtItsDeadline) {
  start(describing(), {.headDeadline = 300_ms}, authority_.issue(Role::COORDINATOR, "co1"));
  auto client = connect();
  client.send(std::string_view("\x16\x03\x01", 3));
  EXPECT_EQ(client.readToEnd(), "");
}

}  // namespace
}  // namespace muster::http_tls_test

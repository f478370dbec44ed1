// The whole front of a replica behind TLS, over a model that can be foretold.
#include "worker/engine/native/serving/serving.h"

#include "base/pki.h"
#include "tests/base/http_fixture.h"
#include "tests/base/temporary_folder.h"
#include "tests/worker/serving/scripted_executor.h"

#include <gmock/gmock.h>
#include <kj/compat/tls.h>

#include <semaphore>

namespace muster::worker::serving_test {
namespace {

using testing::HasSubstr;

class ServingTest : public testing::Test {
 public:
  ~ServingTest() noexcept override {}

 protected:
  void SetUp() override { createCa(folder_.path(), ClusterName{"prod"}); }
  void start(Duration stall = 2_min) {
    auto text = std::make_shared<ModelText>();
    text->tokenizer = std::make_shared<ByteTokenizer>();
    text->endTokens = {ByteTokenizer::END};
    text->sampling.temperature = 0;
    ServingOptions options{.address = "127.0.0.1:0",
                           .tls = issue(Role::WORKER, "w1"),
                           .model = "letters",
                           .stall = stall};
    auto started = Serving::start(std::move(options), std::move(text), executor_, timer(), clock_,
                                  random_, logger_);
    ASSERT_TRUE(started.ok()) << started.refusal().text;
    serving_ = kj::mv(*started);
  }
  TlsFiles issue(Role role, const char* name) {
    return issueCertificate(
        folder_.path(), {.identity = {role, name}, .cluster = ClusterName{"prod"}}, folder_.path());
  }
  RawClient connect(Role role) {
    TlsFiles own = issue(role, "x");
    auto ca = contentOf(own.ca);
    auto key = contentOf(own.key);
    auto certificate = contentOf(own.certificate);
    kj::TlsCertificate trusted{kj::StringPtr(ca.c_str())};
    kj::TlsKeypair pair{kj::TlsPrivateKey(kj::StringPtr(key.c_str())),
                        kj::TlsCertificate(kj::StringPtr(certificate.c_str()))};
    kj::TlsContext::Options options;
    options.useSystemTrustStore = false;
    options.trustedCertificates = kj::arrayPtr(&trusted, 1);
    options.defaultKeypair = pair;
    tls_ = kj::heap<kj::TlsContext>(kj::mv(options));
    auto address = io_.provider->getNetwork().parseAddress(serving_->address()).wait(io_.waitScope);
    auto raw = address->connect().wait(io_.waitScope);
    auto client = tls_->wrapClient(kj::mv(raw), "worker.prod.muster").wait(io_.waitScope);
    return RawClient(kj::mv(client), io_.waitScope, timer());
  }
  static std::string post(const std::string& body) {
    return "POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  template <class T>
  T await(kj::Promise<T> promise) {
    return timer().timeoutAfter(GUARD, kj::mv(promise)).wait(io_.waitScope);
  }
  kj::Timer& timer() { return io_.provider->getTimer(); }

  kj::AsyncIoContext io_ = kj::setupAsyncIo();
  SystemClock clock_;
  SeededRandom random_{1};
  Logger logger_{{.level = LogLevel::ERROR}};
  TemporaryFolder folder_;
  kj::Own<kj::TlsContext> tls_;
  ScriptedExecutor executor_;
  kj::Own<Serving> serving_;
};

TEST_F(ServingTest, answersAGatewayOverTls) {
  start();
  auto client = connect(Role::GATEWAY);
  client.send(post(R"({"model": "letters", "prompt": "w"})"));
  auto answer = client.readToEnd();
  EXPECT_THAT(answer, HasSubstr("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr(R"("text":"xyz")"));
}

TEST_F(ServingTest, streamsToAGatewayOverTls) {
  start();
  auto client = connect(Role::GATEWAY);
  client.send(post(R"({"model": "letters", "prompt": "w", "stream": true})"));
  auto answer = client.readToEnd();
  EXPECT_THAT(answer, HasSubstr("text/event-stream"));
  EXPECT_THAT(answer, HasSubstr("data: [DONE]\n\n"));
}

TEST_F(ServingTest, refusesAWorkersCertificate) {
  start();
  auto client = connect(Role::WORKER);
  client.send(post(R"({"model": "letters", "prompt": "w"})"));
  EXPECT_THAT(client.readToEnd(), HasSubstr("HTTP/1.1 403"));
}

TEST_F(ServingTest, aRequestThatIsNoHttpIsRefusedInOpenAisWords) {
  start();
  auto client = connect(Role::GATEWAY);
  client.send("nonsense\r\n\r\n");
  EXPECT_THAT(client.readToEnd(), HasSubstr(R"({"error":{"message")"));
}

TEST_F(ServingTest, aStepThatTakesTooLongIsReported) {
  std::binary_semaphore go(0);
  executor_.beforeStep = [&go](const Step&) { go.acquire(); };
  start(80_ms);
  auto client = connect(Role::GATEWAY);
  client.send(post(R"({"model": "letters", "prompt": "wx", "max_tokens": 1})"));
  EXPECT_EQ(await(serving_->broken()), "step 1 (1 sequences, 2 tokens) has not ended within 80ms");
  go.release();
  client.readToEnd();
}

TEST_F(ServingTest, refusesAnAddressInUse) {
  start();
  ServingOptions options{.address = serving_->address(), .tls = issue(Role::WORKER, "w1")};
  auto second = Serving::start(std::move(options), std::make_shared<ModelText>(), executor_,
                               timer(), clock_, random_, logger_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.refusal().code, RefusalCode::PORT_IN_USE);
}

}  // namespace
}  // namespace muster::worker::serving_test

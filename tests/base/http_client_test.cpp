#include "base/http_client.h"

#include "tests/base/http_fixture.h"

namespace muster::http_client_test {
namespace {

class HttpProbing : public HttpServerTest {
 protected:
  Result<int> probe(uint16_t port, std::string path = "/health", Duration deadline = 10_s) {
    return await(probeHttp(io_.provider->getNetwork(), timer(), {port, std::move(path), deadline}));
  }
  // A peer that takes one connection, says `words` and ends it (or holds it open).
  Result<int> probePeer(std::string words, bool holdOpen, Duration deadline) {
    auto address = io_.provider->getNetwork().parseAddress("127.0.0.1", 0).wait(io_.waitScope);
    auto listener = address->listen();
    auto peer = listener->accept()
                    .then([&](kj::Own<kj::AsyncIoStream> stream) {
                      auto& open = *stream;
                      auto spoken = open.write(words.data(), words.size())
                                        .then([&open, holdOpen]() -> kj::Promise<void> {
                                          if (holdOpen) return kj::NEVER_DONE;
                                          open.shutdownWrite();
                                          return open.readAllBytes().ignoreResult();
                                        });
                      return spoken.attach(kj::mv(stream));
                    })
                    .eagerlyEvaluate([](kj::Exception&&) {});
    return probe(static_cast<uint16_t>(listener->getPort()), "/", deadline);
  }
};

TEST_F(HttpProbing, givesTheStatusOfAnAnswer) {
  start([](HttpRequest request) -> kj::Promise<HttpResponse> {
    EXPECT_EQ(request.method, "GET");
    return HttpResponse{
        .status = request.path == "/health" && request.query.at("full") == "1" ? 200 : 503};
  });
  EXPECT_EQ(*probe(server_->port(), "/health?full=1"), 200);
  EXPECT_EQ(*probe(server_->port(), "/other?full=0"), 503);
}

TEST_F(HttpProbing, nobodyListeningIsARefusal) {
  start(describing());
  uint16_t port = server_->port();
  server_ = nullptr;
  auto status = probe(port);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.refusal().code, RefusalCode::HEALTH_CHECK_FAILED);
  EXPECT_NE(status.refusal().text.find("http://127.0.0.1:" + std::to_string(port) + "/health"),
            std::string::npos);
}

TEST_F(HttpProbing, silenceEndsAtTheDeadline) {
  auto status = probePeer("HTTP/1.1 20", /*holdOpen=*/true, 50_ms);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.refusal().code, RefusalCode::TIMED_OUT);
}

TEST_F(HttpProbing, readsStatusLinesStrictly) {
  EXPECT_EQ(*probePeer("HTTP/1.0 204\r\n\r\n", false, 10_s), 204);
  EXPECT_EQ(*probePeer("HTTP/1.1 404 Not Found\r\n", true, 10_s), 404);
  for (std::string wrong :
       {"", "SSH-2.0-x\r\n", "HTTP/1.1 2000 OK\r\n", "HTTP/1.1 20\r\n", "HTTP/1.1 abc\r\n",
        "HTTP/2 200 OK\r\n", "HTTP/1.1 200", "HTTP/1.1 099 x\r\n"}) {
    auto status = probePeer(wrong, false, 10_s);
    ASSERT_FALSE(status.ok()) << wrong;
    EXPECT_EQ(status.refusal().code, RefusalCode::HEALTH_CHECK_FAILED);
  }
  EXPECT_FALSE(probePeer(std::string(100'000, 'x'), true, 10_s).ok());
}

TEST_F(HttpProbing, aPathThatIsNoneIsRefused) {
  for (const char* wrong : {"", "health", "/a b", "/a\r\nX: y"}) {
    auto status = probe(1, wrong);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.refusal().code, RefusalCode::INVALID_VALUE);
  }
}

}  // namespace
}  // namespace muster::http_client_test

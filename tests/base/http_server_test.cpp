// What the HTTP port does for well-behaved, slow and vanishing clients.
#include "tests/base/http_fixture.h"

namespace muster::http_server_test {
namespace {

class HttpServing : public HttpServerTest {};

constexpr const char* GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
constexpr const char* GET_AND_CLOSE = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

TEST_F(HttpServing, handsTheRequestToTheLoopAndTheAnswerBack) {
  start(describing());
  auto answer = talk(
      "\r\nPOST /api/v1/a%2Fb?limit=5&name=x%20y HTTP/1.1\r\nHost: co1:7400\r\nIf-Match: "
      "7\r\nAccept: a\r\n"
      "Accept: b\r\nX-Request-Id: req-17\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
  EXPECT_NE(answer.find("X-Request-Id: req-17\r\n"), std::string::npos);
  ASSERT_EQ(requests_.size(), 1u);
  const auto& request = requests_[0];
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/api/v1/a%2Fb");
  EXPECT_EQ(request.query, (std::map<std::string, std::string>{{"limit", "5"}, {"name", "x y"}}));
  EXPECT_EQ(request.headers.at("if-match"), "7");
  EXPECT_EQ(request.headers.at("accept"), "a, b");
  EXPECT_EQ(request.body, "hello");
  EXPECT_EQ(request.requestId, "req-17");
  EXPECT_EQ(request.peerIdentity, std::nullopt);
  EXPECT_TRUE(request.remoteAddress.starts_with("127.0.0.1:"));
}

TEST_F(HttpServing, anUnusableRequestIdIsReplaced) {
  start(describing());
  auto client = connect();
  client.send("GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: a b\r\n\r\n");
  client.readAnswer();
  client.send(GET_AND_CLOSE);
  client.readToEnd();
  ASSERT_EQ(requests_.size(), 2u);
  EXPECT_EQ(requests_[0].requestId.find(' '), std::string::npos);
  EXPECT_FALSE(requests_[0].requestId.empty());
  EXPECT_NE(requests_[0].requestId, requests_[1].requestId);
}

TEST_F(HttpServing, keepsTheConnectionUnlessAskedToClose) {
  start(describing());
  auto client = connect();
  for (int i = 0; i < 3; ++i) {
    client.send(GET);
    EXPECT_EQ(client.readAnswer().find("Connection:"), std::string::npos);
  }
  client.send(GET_AND_CLOSE);
  EXPECT_NE(client.readToEnd().find("Connection: close\r\n"), std::string::npos);
  EXPECT_EQ(requests_.size(), 4u);
}

TEST_F(HttpServing, http10IsAnsweredAndClosed) {
  start(describing());
  auto answer = talk("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_NE(answer.find("Connection: close\r\n"), std::string::npos);
  EXPECT_EQ(answer.find("Transfer-Encoding"), std::string::npos);
}

TEST_F(HttpServing, pipelinedRequestsAreAnsweredInOrder) {
  start(describing());
  std::string all;
  for (int i = 0; i < 50; ++i) all += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
  auto client = connect();
  client.send(all + GET_AND_CLOSE);
  auto answers = client.readToEnd();
  size_t at = 0;
  for (int i = 0; i < 50; ++i) {
    at = answers.find("GET /" + std::to_string(i) + "\n", at);
    ASSERT_NE(at, std::string::npos) << i;
  }
}

TEST_F(HttpServing, bodiesLargerThanAnyBufferPassBothWays) {
  start(describing(), {.body = 4_MiB});
  std::string body(3'000'000, 'x');
  body[2'999'999] = 'y';
  auto client = connect();
  auto sending =
      std::string(
          "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3000000\r\n\r\n") +
      body;
  client.send(sending);
  auto answer = client.readToEnd();
  EXPECT_TRUE(answer.ends_with("xxxy"));
  EXPECT_GT(answer.size(), body.size());
}

TEST_F(HttpServing, answers100ContinueBeforeTheBody) {
  start(describing());
  auto client = connect();
  client.send(
      "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: "
      "5\r\n\r\n");
  EXPECT_EQ(client.readUntil("\r\n\r\n"), std::string("HTTP/1.1 100 Continue\r\n\r\n").size());
  EXPECT_TRUE(requests_.empty());
  client.send("hello");
  EXPECT_NE(client.readToEnd().find("HTTP/1.1 200 OK"), std::string::npos);
  EXPECT_EQ(requests_.at(0).body, "hello");
}

TEST_F(HttpServing, chunksMayComeByteByByte) {
  start(describing());
  auto client = connect();
  client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (char byte : std::string("2\r\nab\r\n0\r\n\r\n")) client.send({&byte, 1});
  EXPECT_TRUE(client.readAnswer().starts_with("HTTP/1.1 200 "));
  client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (char byte : std::string("0\r\n\r\n")) client.send({&byte, 1});
  EXPECT_TRUE(client.readAnswer().starts_with("HTTP/1.1 200 "));
  EXPECT_EQ(requests_.at(0).body, "ab");
  EXPECT_EQ(requests_.at(1).body, "");
}

TEST_F(HttpServing, aClientThatLeavesWithinTheLastChunkIsSentNothing) {
  start(describing());
  auto client = connect();
  client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
  client.stream().shutdownWrite();
  EXPECT_EQ(client.readToEnd(), "");
  EXPECT_TRUE(requests_.empty());
}

TEST_F(HttpServing, headIsAnsweredWithoutABody) {
  start(describing());
  auto answer = talk("HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(answer.ends_with("\r\n\r\n"));
  EXPECT_EQ(answer.find("Content-Length: 0"), std::string::npos);
}

TEST_F(HttpServing, aHeadThatDripsIsEndedAtItsDeadline) {
  start(describing(), {.headDeadline = 100_ms});
  auto client = connect();
  client.send("GET / HTTP/1.1\r\nHost: x\r\n");
  // Bytes that keep coming do not move the deadline.
  kj::Function<kj::Promise<void>()> drip = [&]() -> kj::Promise<void> {
    return client.stream()
        .write("A: b\r\n", 6)
        .then([&] { return timer().afterDelay(5 * kj::MILLISECONDS); })
        .then([&] { return drip(); });
  };
  auto dripping = drip().eagerlyEvaluate([](kj::Exception&&) {});
  auto answer = client.readToEnd();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 408 ")) << answer;
  EXPECT_TRUE(requests_.empty());
}

TEST_F(HttpServing, aBodyThatStallsIsEndedAtItsDeadline) {
  start(describing(), {.bodyDeadline = 50_ms});
  auto answer = talk("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 408 ")) << answer;
  answer = talk("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 408 ")) << answer;
  EXPECT_TRUE(requests_.empty());
}

TEST_F(HttpServing, anIdleConnectionIsClosedWithoutAWord) {
  start(describing(), {.idleDeadline = 300_ms});
  EXPECT_EQ(talk(""), "");
  auto client = connect();
  client.send(GET);
  client.readAnswer();
  EXPECT_EQ(client.readToEnd(), "");
}

TEST_F(HttpServing, aHandlerThatTakesTooLongIsCancelled) {
  start(neverAnswering(), {.handlerDeadline = 50_ms});
  auto answer = talk(GET);
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 504 ")) << answer;
  await(kj::mv(dropped_));
}

TEST_F(HttpServing, theEndOfAWaitingClientCancelsTheHandler) {
  for (bool wholeClose : {true, false}) {
    SCOPED_TRACE(wholeClose);
    start(neverAnswering());
    auto client = connect();
    client.send(GET);
    await(kj::mv(started_));
    if (wholeClose) {
      client.close();
    } else {
      client.stream().shutdownWrite();
    }
    await(kj::mv(dropped_));
  }
}

TEST_F(HttpServing, aClientThatDoesNotReadIsClosedAtTheWriteDeadline) {
  start(
      [](HttpRequest) -> kj::Promise<HttpResponse> {
        return HttpResponse{.body = std::string(64 << 20, 'x')};
      },
      {.writeDeadline = 50_ms, .lingerDeadline = 10_ms});
  auto client = connect();
  client.send(GET);
  client.readUntil("\r\n\r\n");
  await(server_->drain());  // resolves once the connection is gone
}

TEST_F(HttpServing, drainingEndsIdleConnectionsAndLetsRequestsFinish) {
  auto paf = kj::newPromiseAndFulfiller<HttpResponse>();
  auto arrived = kj::newPromiseAndFulfiller<void>();
  start([&](HttpRequest) -> kj::Promise<HttpResponse> {
    arrived.fulfiller->fulfill();
    return kj::mv(paf.promise);
  });
  auto idle = connect();
  auto busy = connect();
  busy.send(GET);
  await(kj::mv(arrived.promise));
  auto drained = server_->drain();
  EXPECT_EQ(idle.readToEnd(), "");
  idle.close();
  EXPECT_FALSE(drained.poll(io_.waitScope));
  paf.fulfiller->fulfill(HttpResponse{.body = "late"});
  auto answer = busy.readToEnd();
  EXPECT_NE(answer.find("Connection: close"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("late"));
  busy.close();
  await(kj::mv(drained));
  EXPECT_ANY_THROW(connect());
  await(server_->drain());  // a second time is harmless
}

TEST_F(HttpServing, goingAwayCancelsHandlersAndEndsConnections) {
  start(neverAnswering());
  auto client = connect();
  client.send(GET);
  await(kj::mv(started_));
  server_ = nullptr;
  await(kj::mv(dropped_));
}

TEST_F(HttpServing, connectionsAboveTheLimitAreTold) {
  start(describing(), {.connections = 1});
  auto first = connect();
  first.send(GET);
  first.readAnswer();
  auto answer = talk("");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 ")) << answer;
  EXPECT_NE(answer.find("Retry-After: "), std::string::npos);
  first.send(GET_AND_CLOSE);
  EXPECT_TRUE(first.readToEnd().starts_with("HTTP/1.1 200 "));
}

TEST_F(HttpServing, manyClientsAtOnceAreAllAnswered) {
  start([this](HttpRequest request) -> kj::Promise<HttpResponse> {
    return kj::evalLater([body = request.path] { return HttpResponse{.body = body}; });
  });
  std::vector<RawClient> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(connect());
    clients.back().send("GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(
        clients[static_cast<size_t>(i)].readAnswer().ends_with("\r\n\r\n/" + std::to_string(i)));
  }
}

}  // namespace
}  // namespace muster::http_server_test

// Bodies that are made piece by piece.
#include "tests/base/http_fixture.h"

#include <deque>
#include <memory>

namespace muster::http_stream_test {
namespace {

// Gives its pieces, then does what it was told to do at the end.
class Pieces final : public HttpBodyStream {
 public:
  enum class End { COMPLETE, BROKEN, NEVER };

  Pieces(std::deque<std::string> pieces, End end) : pieces_(std::move(pieces)), end_(end) {}

  kj::Promise<std::optional<std::string>> next() override {
    ++asked;
    if (!pieces_.empty()) {
      std::string piece = std::move(pieces_.front());
      pieces_.pop_front();
      return std::optional(std::move(piece));
    }
    if (end_ == End::BROKEN) return KJ_EXCEPTION(DISCONNECTED, "the source is gone");
    if (end_ == End::NEVER) return kj::NEVER_DONE;
    return std::optional<std::string>();
  }

  size_t asked = 0;

 private:
  std::deque<std::string> pieces_;
  End end_;
};

class HttpStreaming : public HttpServerTest {
 protected:
  void serve(std::deque<std::string> pieces, Pieces::End end, HttpLimits limits = {}) {
    pieces_ = std::make_shared<Pieces>(std::move(pieces), end);
    start(
        [this](HttpRequest) -> kj::Promise<HttpResponse> {
          HttpResponse response;
          response.contentType = "text/event-stream";
          response.stream = pieces_;
          return response;
        },
        limits);
  }
  // Until nothing but the test holds the stream: the server has let it go.
  void awaitDropped() {
    timer().timeoutAfter(GUARD, kj::evalLater([this] { return dropped(); })).wait(io_.waitScope);
  }

  std::shared_ptr<Pieces> pieces_;

 private:
  kj::Promise<void> dropped() {
    if (pieces_.use_count() == 1) return kj::READY_NOW;
    return timer().afterDelay(1 * kj::MILLISECONDS).then([this] { return dropped(); });
  }
};

constexpr const char* GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
constexpr const char* GET_AND_CLOSE = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

TEST_F(HttpStreaming, piecesComeAsChunksInOrder) {
  serve({"one", "two two"}, Pieces::End::COMPLETE);
  std::string answer = talk(GET_AND_CLOSE);
  EXPECT_NE(answer.find("Transfer-Encoding: chunked\r\n"), std::string::npos) << answer;
  EXPECT_NE(answer.find("Content-Type: text/event-stream\r\n"), std::string::npos);
  EXPECT_EQ(answer.find("Content-Length"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("\r\n\r\n3\r\none\r\n7\r\ntwo two\r\n0\r\n\r\n")) << answer;
}

TEST_F(HttpStreaming, theConnectionServesOnAfterACompleteStream) {
  serve({"one"}, Pieces::End::COMPLETE);
  auto client = connect();
  client.send(GET);
  client.readUntil("0\r\n\r\n");
  pieces_ = std::make_shared<Pieces>(std::deque<std::string>{"again"}, Pieces::End::COMPLETE);
  client.send(GET_AND_CLOSE);
  EXPECT_TRUE(client.readToEnd().ends_with("5\r\nagain\r\n0\r\n\r\n"));
}

TEST_F(HttpStreaming, aClientOfHttp10GetsTheBareBodyUntilTheEndOfTheConnection) {
  serve({"one", "two"}, Pieces::End::COMPLETE);
  std::string answer = talk("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(answer.find("Transfer-Encoding"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("\r\n\r\nonetwo")) << answer;
}

TEST_F(HttpStreaming, aBrokenStreamLacksItsLastChunk) {
  serve({"one"}, Pieces::End::BROKEN);
  std::string answer = talk(GET);
  EXPECT_TRUE(answer.ends_with("3\r\none\r\n")) << answer;
  server_ = nullptr;
  ASSERT_EQ(logLines_.size(), 1u);
  EXPECT_NE(logLines_[0].find("the source is gone"), std::string::npos) << logLines_[0];
}

TEST_F(HttpStreaming, aClientThatLeavesEndsItsStream) {
  serve({"one"}, Pieces::End::NEVER);
  auto client = connect();
  client.send(GET);
  client.readUntil("one\r\n");
  EXPECT_GT(pieces_.use_count(), 1);
  client.close();
  awaitDropped();
}

TEST_F(HttpStreaming, aPieceThatDoesNotComeInTimeBreaksTheStreamOff) {
  serve({"one"}, Pieces::End::NEVER, {.handlerDeadline = 50_ms});
  std::string answer = talk(GET);
  EXPECT_TRUE(answer.ends_with("3\r\none\r\n")) << answer;
  awaitDropped();
}

TEST_F(HttpStreaming, aClientThatDoesNotReadSlowsItsSourceAndIsCutOff) {
  constexpr size_t PIECES = 1000;
  std::deque<std::string> large(PIECES, std::string(100'000, 'x'));
  serve(std::move(large), Pieces::End::COMPLETE, {.writeDeadline = 200_ms});
  auto client = connect();
  client.send(GET);
  awaitDropped();
  EXPECT_LT(pieces_->asked, PIECES);
}

TEST_F(HttpStreaming, aHeadRequestAsksForNoPiece) {
  serve({"one"}, Pieces::End::COMPLETE);
  std::string answer = talk("HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(answer.ends_with("\r\n\r\n")) << answer;
  awaitDropped();
  EXPECT_EQ(pieces_->asked, 0u);
}

}  // namespace
}  // namespace muster::http_stream_test

// A server on the kj loop of the test and clients that say exactly the bytes they are told.
#pragma once

#include "base/http_server.h"

#include <gtest/gtest.h>
#include <kj/async-io.h>
#include <kj/debug.h>

#include <string>
#include <string_view>
#include <vector>

namespace muster {

constexpr auto GUARD = 20 * kj::SECONDS;  // only ends a test that would hang

// One raw connection.
class RawClient {
 public:
  RawClient(kj::Own<kj::AsyncIoStream> stream, kj::WaitScope& wait, kj::Timer& timer)
      : stream_(kj::mv(stream)), wait_(wait), timer_(timer) {}

  void send(std::string_view bytes) {
    timer_.timeoutAfter(GUARD, stream_->write(bytes.data(), bytes.size())).wait(wait_);
  }
  // Everything until the server ends the connection; a reset throws.
  std::string readToEnd() {
    auto text = timer_.timeoutAfter(GUARD, stream_->readAllText()).wait(wait_);
    return std::move(buffered_) + text.cStr();
  }
  // One answer with its body, whose length the head says.
  std::string readAnswer() {
    size_t head = readUntil("\r\n\r\n");
    size_t length = 0;
    auto at = buffered_.find("Content-Length: ");
    if (at < head) length = std::stoul(buffered_.substr(at + 16));
    while (buffered_.size() < head + length) readSome();
    std::string answer = buffered_.substr(0, head + length);
    buffered_.erase(0, head + length);
    return answer;
  }
  // The place after the first `end`, reading as far as needed.
  size_t readUntil(std::string_view end) {
    size_t at = 0;
    while ((at = buffered_.find(end)) == std::string::npos) readSome();
    return at + end.size();
  }
  kj::AsyncIoStream& stream() { return *stream_; }
  void close() { stream_ = nullptr; }

 private:
  void readSome() {
    char piece[4096];
    size_t got = timer_.timeoutAfter(GUARD, stream_->tryRead(piece, 1, sizeof piece)).wait(wait_);
    KJ_REQUIRE(got > 0, "the server ended the connection early", buffered_.c_str());
    buffered_.append(piece, got);
  }

  kj::Own<kj::AsyncIoStream> stream_;
  kj::WaitScope& wait_;
  kj::Timer& timer_;
  std::string buffered_;
};

class HttpServerTest : public testing::Test {
 public:
  ~HttpServerTest() noexcept override {}

 protected:
  // Answers with what it was asked, one fact per line.
  static HttpResponse describe(const HttpRequest& request) {
    std::string body = request.method + " " + request.path + "\n";
    for (const auto& [name, value] : request.query) body += "query " + name + "=" + value + "\n";
    for (const auto& [name, value] : request.headers) body += name + ": " + value + "\n";
    body += "peer " + (request.peerIdentity ? commonName(*request.peerIdentity) : "none") +
            "\nbody " + request.body;
    return {.contentType = "text/plain", .body = body};
  }
  HttpHandler describing() {
    return [this](HttpRequest request) -> kj::Promise<HttpResponse> {
      requests_.push_back(request);
      return describe(request);
    };
  }

  void start(HttpHandler handler, HttpLimits limits = {},
             std::optional<TlsFiles> tls = std::nullopt) {
    auto server = HttpServer::start({"127.0.0.1:0", limits, std::move(tls)}, kj::mv(handler),
                                    logger_, random_);
    if (!server) FAIL() << server.refusal().text;
    server_ = kj::mv(*server);
  }
  RawClient connect() {
    auto address =
        io_.provider->getNetwork().parseAddress("127.0.0.1", server_->port()).wait(io_.waitScope);
    return RawClient(address->connect().wait(io_.waitScope), io_.waitScope, timer());
  }
  // Sends and reads until the server ends the connection.
  std::string talk(std::string_view bytes) {
    auto client = connect();
    client.send(bytes);
    return client.readToEnd();
  }
  // A handler that never answers; `started_` and `dropped_` say when it was called and cancelled.
  HttpHandler neverAnswering() {
    auto started = kj::newPromiseAndFulfiller<void>();
    auto dropped = kj::newPromiseAndFulfiller<void>();
    started_ = kj::mv(started.promise);
    dropped_ = kj::mv(dropped.promise);
    return [started = kj::mv(started.fulfiller),
            dropped = kj::mv(dropped.fulfiller)](HttpRequest) mutable -> kj::Promise<HttpResponse> {
      started->fulfill();
      return kj::Promise<HttpResponse>(kj::NEVER_DONE).attach(kj::defer([&dropped] {
        dropped->fulfill();
      }));
    };
  }

  template <class T>
  T await(kj::Promise<T> promise) {
    return timer().timeoutAfter(GUARD, kj::mv(promise)).wait(io_.waitScope);
  }
  kj::Timer& timer() { return io_.provider->getTimer(); }

  kj::AsyncIoContext io_ = kj::setupAsyncIo();
  SeededRandom random_{1};
  std::vector<std::string>
      logLines_;  // written by the HTTP thread too: read them after the server is gone
  Logger logger_{{LogLevel::WARN, LogFormat::TEXT,
                  [this](std::string_view line) { logLines_.emplace_back(line); }}};
  std::vector<HttpRequest> requests_;
  kj::Promise<void> started_ = nullptr;
  kj::Promise<void> dropped_ = nullptr;
  kj::Own<HttpServer> server_;
};

}  // namespace muster

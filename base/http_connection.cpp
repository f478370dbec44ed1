// The protocol of one client: Boost.Beast parses, asio waits. One of the few files that include
// Beast. What Beast lets pass and we do not (several lengths or hosts, lengths beside chunks,
// trailers as headers) is refused here. Long because one client's protocol is told whole.
#include "base/http_connection.h"

#include "base/http_text.h"
#include "base/server_tls.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <kj/common.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <utility>

namespace muster {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t READ_PIECE = size_t{16} * 1024;
constexpr size_t INPUT_MAX =
    size_t{64} * 1024;  // unparsed bytes of one connection; more waits in the kernel
constexpr size_t LAST_CHUNK_BYTES = 5;  // "0", the end of its line, and that of the trailers

std::chrono::nanoseconds toChrono(Duration duration) {
  return std::chrono::nanoseconds(duration.nanos);
}

using Parser = http::request_parser<http::string_body>;

// What the head itself makes impossible. Source: RFC 9112 sections 3.2, 6.1 and 6.3.
std::optional<HttpFailure> checkHead(const Parser::value_type& head) {
  auto bad = [](const char* text) { return HttpFailure{400, RefusalCode::INVALID_SYNTAX, text}; };
  if (!head.target().starts_with('/')) return bad("the request target does not start with /");
  size_t hosts = head.count(http::field::host);
  if (hosts > 1 || (hosts == 0 && head.version() == 11)) return bad("one Host header is needed");
  size_t lengths = head.count(http::field::content_length);
  size_t encodings = head.count(http::field::transfer_encoding);
  if (lengths > 1) return bad("Content-Length is given twice");
  // Beast takes a list of equal lengths for one.
  auto length = head[http::field::content_length];
  if (length.find_first_not_of("0123456789") != length.npos) {
    return bad("Content-Length is not a number");
  }
  if (encodings > 0 && lengths > 0)
    return bad("Content-Length and Transfer-Encoding exclude each other");
  if (encodings > 0 && head.version() == 10) return bad("HTTP/1.0 has no Transfer-Encoding");
  if (encodings > 1 ||
      (encodings == 1 && !equalsIgnoringCase(head[http::field::transfer_encoding], "chunked"))) {
    return HttpFailure{501, RefusalCode::NOT_SUPPORTED_YET,
                       "the only Transfer-Encoding taken is chunked"};
  }
  auto expect = head[http::field::expect];
  if (!expect.empty() && !equalsIgnoringCase(expect, "100-continue")) {
    return HttpFailure{417, RefusalCode::NOT_SUPPORTED_YET,
                       "the only Expect taken is 100-continue"};
  }
  return std::nullopt;
}

HttpFailure parseFailure(const error_code& error, const HttpLimits& limits) {
  if (error == http::error::body_limit) {
    return {413, RefusalCode::TOO_LARGE, "the body is larger than " + toText(limits.body)};
  }
  if (error == http::error::bad_version) {
    return {505, RefusalCode::NOT_SUPPORTED_YET, "wanted HTTP/1.0 or HTTP/1.1"};
  }
  if (error == http::error::header_limit) {
    return {431, RefusalCode::TOO_LARGE, "the head is larger than " + toText(limits.head)};
  }
  return {400, RefusalCode::INVALID_SYNTAX, "the request is not valid HTTP/1.1"};
}

std::string addressText(const tcp::endpoint& endpoint) {
  std::string host = endpoint.address().to_string();
  return (endpoint.address().is_v6() ? "[" + host + "]" : host) + ":" +
         std::to_string(endpoint.port());
}

// One client. `serve()` is the protocol from top to bottom; `fill()` beside it reads ahead, so that
// the client's end is seen while a handler works. Both wake through `changed_` and `room_`; each
// wait has a deadline.
class ServedConnection final : public HttpConnection,
                               public std::enable_shared_from_this<ServedConnection> {
 public:
  ServedConnection(HttpShared& shared, tcp::socket socket, asio::ssl::context* tls,
                   HttpAdmission admission)
      : shared_(shared),
        socket_(std::move(socket)),
        changed_(socket_.get_executor()),
        room_(socket_.get_executor(), asio::steady_timer::time_point::max()),
        writeTimer_(socket_.get_executor()),
        admission_(admission) {
    if (tls != nullptr) tls_.emplace(socket_, *tls);
    error_code ignored;
    remote_ = addressText(socket_.remote_endpoint(ignored));
    socket_.set_option(tcp::no_delay(true), ignored);
    shared_.connections.insert(this);
  }
  ~ServedConnection() noexcept(false) override {
    if (exchange_ != 0) shared_.waiting.erase(exchange_);
    shared_.connections.erase(this);
    if (shared_.draining && !shared_.ended && shared_.connections.empty()) shared_.sink.onDrained();
  }
  KJ_DISALLOW_COPY(ServedConnection);

  void start() {
    auto executor = socket_.get_executor();
    asio::co_spawn(executor, serve(shared_from_this()), asio::detached);
  }
  void answer(HttpResponse response, HttpBodyKind kind) override {
    response_ = std::move(response);
    kind_ = kind;
    wake();
  }
  void append(std::string piece) override {
    piece_ = std::move(piece);
    wake();
  }
  void finish(HttpStreamEnd end) override {
    streamEnd_ = end;
    wake();
  }
  void wake() override { changed_.cancel(); }

 private:
  using Self = std::shared_ptr<ServedConnection>;
  using Condition = bool (ServedConnection::*)();

  // True once `condition` holds, false at the deadline.
  asio::awaitable<bool> waitFor(Condition condition, Duration deadline) {
    auto until = std::chrono::steady_clock::now() + toChrono(deadline);
    while (!(this->*condition)()) {
      if (std::chrono::steady_clock::now() >= until) co_return false;
      changed_.expires_at(until);
      error_code ignored;
      co_await changed_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    co_return true;
  }

  asio::awaitable<void> serve([[maybe_unused]] Self self) {
    bool ready = true;
    if (tls_) ready = co_await shakeHands();
    if (ready) {
      asio::co_spawn(socket_.get_executor(), fill(self), asio::detached);
      co_await serveAll();
      co_await linger();
    }
    close();
  }

  asio::awaitable<void> serveAll() {
    if (admission_ == HttpAdmission::REFUSE) {
      failure_ = HttpFailure{503, RefusalCode::OVERLOADED, "too many connections"};
      co_await fail();
      co_return;
    }
    bool again = true;
    while (again) again = co_await serveOne();
  }

  // One request and its answer; whether another may follow.
  asio::awaitable<bool> serveOne() {
    bool spoke = co_await waitFor(&ServedConnection::hasInputOrEnd, shared_.limits.idleDeadline);
    if (!spoke || input_.empty()) co_return false;
    requestId_ = newRequestId();
    bool readable = co_await readHead();
    if (readable) readable = co_await readBody();
    if (!readable) {
      co_await fail();
      co_return false;
    }
    bool answered = co_await runHandler();
    if (!answered) {
      co_await fail();
      co_return false;
    }
    bool keepAlive = parser_->keep_alive() && parser_->get().version() == 11 && !shared_.draining;
    bool written = false;
    if (kind_ == HttpBodyKind::STREAMED) {
      written = co_await writeStream(keepAlive);
      endExchange();
    } else {
      written = co_await write(keepAlive);
    }
    co_return written&& keepAlive;
  }

  asio::awaitable<bool> shakeHands() {
    error_code error;
    startWriteTimer(shared_.limits.headDeadline);
    co_await tls_->async_handshake(asio::ssl::stream_base::server,
                                   asio::redirect_error(asio::use_awaitable, error));
    stopWriteTimer();
    if (error)
      shared_.logger.debug("TLS handshake failed", {{"peer", remote_}, {"cause", error.message()}});
    if (!error) peerIdentity_ = peerIdentityOf(tls_->native_handle());
    co_return !error;
  }

  // Reads ahead until the end, never more than INPUT_MAX beyond what has been parsed.
  asio::awaitable<void> fill([[maybe_unused]] Self self) {
    std::array<char, READ_PIECE> piece;
    error_code error;
    while (!error) {
      while (input_.size() >= INPUT_MAX && !closed_) {
        error_code ignored;
        co_await room_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      }
      size_t got = co_await readSome(piece, error);
      if (!discarding_) input_.append(piece.data(), got);
      wake();
    }
    ended_ = true;
    wake();
  }

  asio::awaitable<size_t> readSome(std::array<char, READ_PIECE>& piece, error_code& error) {
    auto token = asio::redirect_error(asio::use_awaitable, error);
    if (tls_) co_return co_await tls_->async_read_some(asio::buffer(piece), token);
    co_return co_await socket_.async_read_some(asio::buffer(piece), token);
  }

  void consume(size_t count) {
    input_.erase(0, count);
    room_.cancel();
  }

  bool hasInputOrEnd() { return !input_.empty() || ended_ || shared_.draining; }
  bool hasEnded() { return ended_; }
  bool isAnsweredOrEnded() { return response_.has_value() || ended_; }
  bool hasPieceOrEnd() { return !piece_.empty() || streamEnd_.has_value() || ended_; }

  // Empty lines before a request are skipped, as RFC 9112 section 2.2 asks.
  bool isHeadSettled() {
    while (scanner_.untouched() && input_.starts_with("\r\n")) consume(2);
    if (!input_.empty() && input_ != "\r") scan_ = scanner_.scan(input_, shared_.limits.head.count);
    return scan_ != HeadScanner::State::MORE || ended_;
  }

  asio::awaitable<bool> readHead() {
    scanner_ = {};
    scan_ = HeadScanner::State::MORE;
    bool inTime = co_await waitFor(&ServedConnection::isHeadSettled, shared_.limits.headDeadline);
    if (!inTime) co_return refuse({408, RefusalCode::TIMED_OUT, "the head did not arrive in time"});
    if (scan_ == HeadScanner::State::FAILED) co_return refuse(scanner_.failure());
    if (scan_ == HeadScanner::State::MORE) co_return false;  // the client left
    co_return parseHead();
  }

  bool parseHead() {
    parser_.emplace();
    parserWants_ = 1;
    parser_->header_limit(static_cast<uint32_t>(shared_.limits.head.count) + 4);
    parser_->body_limit(shared_.limits.body.count);
    parser_->eager(true);
    error_code error;
    size_t used = parser_->put(asio::buffer(input_.data(), scanner_.end()), error);
    consume(used);
    if (error == http::error::need_more) error = {};
    if (error) return refuse(parseFailure(error, shared_.limits));
    if (auto failure = checkHead(parser_->get())) return refuse(*failure);
    return takeHead();
  }

  // The headers are taken before the body: what comes after it as a trailer is never one of them.
  bool takeHead() {
    const auto& head = parser_->get();
    request_ = {};
    request_.method = std::string(head.method_string());
    std::string_view target = head.target();
    request_.path = std::string(target.substr(0, target.find('?')));
    if (request_.path.size() < target.size()) {
      auto query = parseQuery(target.substr(request_.path.size() + 1));
      if (!query) return refuse({400, query.refusal().code, query.refusal().text});
      request_.query = std::move(*query);
    }
    for (const auto& field : head) {
      std::string name = toLowerCase(std::string_view(field.name_string()));
      auto& value = request_.headers[name];
      value += (value.empty() ? "" : ", ") + std::string(field.value());
    }
    auto given = request_.headers.find("x-request-id");
    if (given != request_.headers.end() && isPlainWord(given->second)) requestId_ = given->second;
    request_.peerIdentity = peerIdentity_;
    request_.remoteAddress = remote_;
    return true;
  }

  // Feeds the parser with what is there; true once there is nothing more to wait for. Where it took
  // nothing, a chunk's line is not whole; Beast asserts that it is not shown a last chunk again in
  // parts, and after any such line at least as much follows as makes up a last chunk.
  bool isBodySettled() {
    while (!failure_ && !parser_->is_done() && input_.size() >= parserWants_) {
      error_code error;
      size_t used = parser_->put(asio::buffer(input_.data(), input_.size()), error);
      consume(used);
      if (error && error != http::error::need_more) refuse(parseFailure(error, shared_.limits));
      parserWants_ = used > 0 ? 1 : LAST_CHUNK_BYTES;
      if (used > 0) continue;
      // The line of a chunk's size or a trailer that does not end.
      if (input_.size() >= INPUT_MAX) refuse(parseFailure({}, shared_.limits));
      break;
    }
    return failure_ || parser_->is_done() || ended_;
  }

  asio::awaitable<bool> readBody() {
    if (!parser_->is_done() && !parser_->get()[http::field::expect].empty() && input_.empty() &&
        parser_->get().version() == 11) {
      static constexpr std::string_view CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
      bool sent = co_await writeAll(CONTINUE, {});
      if (!sent) co_return false;
    }
    bool inTime = co_await waitFor(&ServedConnection::isBodySettled, shared_.limits.bodyDeadline);
    if (!inTime) co_return refuse({408, RefusalCode::TIMED_OUT, "the body did not arrive in time"});
    if (failure_ || !parser_->is_done()) co_return false;
    request_.body = std::move(parser_->get().body());
    co_return true;
  }

  // False when the client left, or with the failure to answer.
  asio::awaitable<bool> runHandler() {
    response_.reset();
    piece_.clear();
    streamEnd_.reset();
    exchange_ = ++shared_.lastExchange;
    shared_.waiting[exchange_] = this;
    bool isHead = request_.method == "HEAD";
    request_.requestId = requestId_;
    shared_.sink.onRequest(exchange_, std::move(request_));
    bool inTime =
        co_await waitFor(&ServedConnection::isAnsweredOrEnded, shared_.limits.handlerDeadline);
    bool goesOn = response_ && kind_ == HttpBodyKind::STREAMED;
    if (!goesOn) endExchange();
    if (!inTime) co_return refuse({504, RefusalCode::TIMED_OUT, "the request took too long"});
    bodyIsSent_ = !isHead;
    co_return response_.has_value();
  }

  // Nothing more is taken from the handler, and it is told so unless it has given all.
  void endExchange() {
    shared_.waiting.erase(exchange_);
    bool hasAll = response_ && (kind_ == HttpBodyKind::WHOLE || streamEnd_);
    if (!hasAll) shared_.sink.onCancel(exchange_);
    exchange_ = 0;
  }

  // True when the client has got all of it. The body of an HTTP/1.0 client ends with the
  // connection, as does one that broke off; the latter lacks its last chunk.
  asio::awaitable<bool> writeStream(bool keepAlive) {
    bool chunked = parser_->get().version() == 11;
    auto framing = chunked ? HttpFraming::CHUNKED : HttpFraming::UNTIL_CLOSE;
    std::string head = writeHttpHead(*response_, requestId_, keepAlive, framing);
    bool open = co_await writeAll(head, {});
    if (!bodyIsSent_) co_return open;
    while (open) {
      shared_.sink.onRoom(exchange_);
      bool inTime =
          co_await waitFor(&ServedConnection::hasPieceOrEnd, shared_.limits.handlerDeadline);
      if (!inTime || piece_.empty()) break;
      std::string piece = std::exchange(piece_, {});
      std::array<char, 20> size{};
      int length = std::snprintf(size.data(), size.size(), "%zx\r\n", piece.size());
      if (chunked) piece += "\r\n";
      open = co_await writeAll({size.data(), chunked ? static_cast<size_t>(length) : 0}, piece);
    }
    if (!open || streamEnd_ != HttpStreamEnd::COMPLETE) co_return false;
    if (!chunked) co_return true;
    static constexpr std::string_view LAST_CHUNK = "0\r\n\r\n";
    bool ended = co_await writeAll(LAST_CHUNK, {});
    co_return ended;
  }

  // Sends the failure, if there is one; a client that left is sent nothing.
  asio::awaitable<void> fail() {
    if (!failure_) co_return;
    response_ =
        shared_.failure({failure_->code, failure_->text, {}, {}}, requestId_, failure_->status);
    bodyIsSent_ = true;
    kind_ = HttpBodyKind::WHOLE;
    co_await write(/*keepAlive=*/false);
  }

  asio::awaitable<bool> write(bool keepAlive) {
    std::string head = writeHttpHead(*response_, requestId_, keepAlive);
    std::string_view body = bodyIsSent_ ? std::string_view(response_->body) : std::string_view();
    co_return co_await writeAll(head, body);
  }

  asio::awaitable<bool> writeAll(std::string_view head, std::string_view body) {
    std::array<asio::const_buffer, 2> pieces = {asio::buffer(head), asio::buffer(body)};
    error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    startWriteTimer(shared_.limits.writeDeadline);
    if (tls_) {
      co_await asio::async_write(*tls_, pieces, token);
    } else {
      co_await asio::async_write(socket_, pieces, token);
    }
    stopWriteTimer();
    co_return !error;
  }

  // At its end the socket is closed, which ends whatever was being written.
  void startWriteTimer(Duration deadline) {
    uint64_t turn = ++writeTurn_;
    writeTimer_.expires_after(toChrono(deadline));
    writeTimer_.async_wait([self = shared_from_this(), turn](const error_code& error) {
      if (!error && self->writeTurn_ == turn) self->close();
    });
  }
  void stopWriteTimer() {
    ++writeTurn_;
    writeTimer_.cancel();
  }

  // Closing with unread bytes would send a reset, which can overtake the answer: so we end our
  // side, then read on until the client ends its own, for a short while.
  asio::awaitable<void> linger() {
    discarding_ = true;
    consume(input_.size());
    error_code ignored;
    startWriteTimer(shared_.limits.lingerDeadline);
    if (tls_ && !ended_)
      co_await tls_->async_shutdown(asio::redirect_error(asio::use_awaitable, ignored));
    stopWriteTimer();
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    co_await waitFor(&ServedConnection::hasEnded, shared_.limits.lingerDeadline);
  }

  void close() {
    closed_ = true;
    error_code ignored;
    socket_.close(ignored);
    room_.cancel();
    wake();
  }

  bool refuse(HttpFailure failure) {
    failure_ = std::move(failure);
    return false;
  }

  std::string newRequestId() {
    return shared_.requestIdPrefix + "-" + std::to_string(++shared_.lastRequestId);
  }

  HttpShared& shared_;
  tcp::socket socket_;
  std::optional<asio::ssl::stream<tcp::socket&>> tls_;
  asio::steady_timer changed_;
  asio::steady_timer room_;
  asio::steady_timer writeTimer_;
  uint64_t writeTurn_ = 0;
  HttpAdmission admission_;
  bool ended_ = false;  // nothing more will be read
  bool closed_ = false;
  bool discarding_ = false;
  bool bodyIsSent_ = true;  // not for HEAD
  std::string remote_;
  std::optional<PeerIdentity> peerIdentity_;
  std::string input_;
  HeadScanner scanner_;
  HeadScanner::State scan_ = HeadScanner::State::MORE;
  std::optional<Parser> parser_;
  size_t parserWants_ = 1;  // bytes; before so many are there it is asked nothing
  std::optional<HttpFailure> failure_;
  HttpRequest request_;
  std::string requestId_ = newRequestId();
  uint64_t exchange_ = 0;
  std::optional<HttpResponse> response_;
  HttpBodyKind kind_ = HttpBodyKind::WHOLE;
  std::string piece_;  // of the streamed body, not sent yet
  std::optional<HttpStreamEnd> streamEnd_;
};

}  // namespace

void startHttpConnection(HttpShared& shared, tcp::socket socket, asio::ssl::context* tls,
                         HttpAdmission admission) {
  std::make_shared<ServedConnection>(shared, std::move(socket), tls, admission)->start();
}

}  // namespace muster

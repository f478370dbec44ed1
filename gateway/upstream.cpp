// One of the few files that include Beast: it parses the answers.
#include "gateway/upstream.h"

#include "base/http_text.h"
#include "base/transport.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace muster::gateway {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t READ_PIECE = size_t{8} * 1024;  // held as long as the connection
constexpr uint32_t HEAD_MAX = 64 * 1024;
constexpr uint64_t BODY_MAX = uint64_t{4} << 30;

using Parser = http::response_parser<http::string_body>;

std::string commonNameOf(SSL* session) {
  X509* certificate = SSL_get1_peer_certificate(session);
  if (certificate == nullptr) return "";
  std::array<char, 256> name{};
  int length = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                         name.data(), static_cast<int>(name.size()));
  X509_free(certificate);
  return length > 0 ? std::string(name.data(), static_cast<size_t>(length)) : "";
}

class TcpUpstream final : public Upstream, public std::enable_shared_from_this<TcpUpstream> {
 public:
  TcpUpstream(asio::io_context& loop, TlsContext context)
      : context_(std::move(context)), resolver_(loop), socket_(loop), timer_(loop) {}

  Awaitable<std::optional<Failure>> connect(Target target, Duration deadline) override {
    auto self = shared_from_this();
    host_ = target.host.find(':') == std::string::npos ? target.host : "[" + target.host + "]";
    host_ += ":" + target.port;
    error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    startTimer(deadline);
    auto found = co_await resolver_.async_resolve(target.host, target.port, token);
    if (!error) co_await asio::async_connect(socket_, found, token);
    error_code ignored;
    if (!error) socket_.set_option(tcp::no_delay(true), ignored);
    if (!error && target.tls) co_await shakeHands(target, error);
    bool inTime = stopTimer();
    if (!inTime) co_return fail(Failure::CONNECT, "not connected in time");
    if (error) co_return fail(Failure::CONNECT, error.message());
    co_return std::nullopt;
  }

  Awaitable<std::optional<Failure>> send(UpstreamRequest request, Duration deadline) override {
    auto self = shared_from_this();
    std::string head = headOf(request);
    std::array<asio::const_buffer, 2> pieces = {asio::buffer(head), asio::buffer(request.body)};
    error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    startTimer(deadline);
    if (tls_) {
      co_await asio::async_write(*tls_, pieces, token);
    } else {
      co_await asio::async_write(socket_, pieces, token);
    }
    bool inTime = stopTimer();
    parser_.emplace();
    parser_->header_limit(HEAD_MAX);
    parser_->body_limit(BODY_MAX);
    parser_->eager(true);
    ended_ = false;
    if (!inTime) co_return fail(Failure::FIRST_BYTE, "the request was not taken in time");
    if (error) co_return fail(Failure::NO_ANSWER, error.message());
    co_return std::nullopt;
  }

  Awaitable<std::variant<UpstreamHead, Failure>> readHead(Duration deadline) override {
    auto self = shared_from_this();
    auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds(deadline.nanos);
    bool any = false;
    while (!parser_->is_header_done()) {
      auto left = until - std::chrono::steady_clock::now();
      error_code error = co_await fill({std::chrono::nanoseconds(left).count()});
      if (late_) co_return fail(Failure::FIRST_BYTE, "no answer in time");
      if (error) {
        co_return fail(any ? Failure::BAD_ANSWER : Failure::NO_ANSWER, error.message());
      }
      any = true;
      if (!parse()) co_return fail(Failure::BAD_ANSWER, parseError_.message());
    }
    const auto& head = parser_->get();
    bool ambiguous = head.count(http::field::content_length) > 0 &&
                     head.count(http::field::transfer_encoding) > 0;
    if (head.result_int() < 200 || ambiguous) {
      co_return fail(Failure::BAD_ANSWER, "an interim or ambiguous answer");
    }
    UpstreamHead out{static_cast<int>(head.result_int()), {}};
    for (const auto& field : head) {
      out.headers[toLowerCase(std::string_view(field.name_string()))] = std::string(field.value());
    }
    co_return out;
  }

  Awaitable<std::variant<std::string, Failure>> readPiece(Duration deadline) override {
    auto self = shared_from_this();
    auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds(deadline.nanos);
    while (parser_->get().body().empty() && !parser_->is_done()) {
      auto left = until - std::chrono::steady_clock::now();
      error_code error = co_await fill({std::chrono::nanoseconds(left).count()});
      if (late_) co_return fail(Failure::BROKEN, "the answer paused for too long");
      if (error && error != asio::error::eof && error != asio::ssl::error::stream_truncated) {
        co_return fail(Failure::BROKEN, error.message());
      }
      if (error && !endsHere()) co_return fail(Failure::BROKEN, "the answer ended early");
      if (!parse()) co_return fail(Failure::BROKEN, parseError_.message());
    }
    std::string piece = std::exchange(parser_->get().body(), {});
    ended_ = parser_->is_done() && piece.empty();
    co_return piece;
  }

  bool isReusable() const override {
    return ended_ && socket_.is_open() && input_.empty() && parser_->keep_alive();
  }

  bool isQuiet() override {
    char byte = 0;
    ssize_t got = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    bool isEmpty = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    // Under TLS a server may send tickets whenever it likes.
    return isEmpty || (tls_ && got > 0);
  }

  const std::string& trouble() const override { return trouble_; }

  void cancel() override {
    error_code ignored;
    resolver_.cancel();
    socket_.close(ignored);
  }

 private:
  Awaitable<void> shakeHands(const Target& target, error_code& error) {
    tls_.emplace(socket_, *context_);
    SSL_set1_host(tls_->native_handle(), target.serverName.c_str());
    co_await tls_->async_handshake(asio::ssl::stream_base::client,
                                   asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    std::string name = commonNameOf(tls_->native_handle());
    bool isExpected = target.peer.empty() || name == target.peer;
    if (!isExpected) error = asio::error::access_denied;
  }

  std::string headOf(const UpstreamRequest& request) const {
    std::string head =
        request.method + " " + request.target + " HTTP/1.1\r\nHost: " + host_ + "\r\n";
    for (const auto& [name, value] : request.headers) head += name + ": " + value + "\r\n";
    if (!request.body.empty() || request.method == "POST") {
      head += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
    }
    return head + "\r\n";
  }

  // More bytes, unless some are there that the parser has not seen.
  Awaitable<error_code> fill(Duration deadline) {
    error_code error;
    if (!input_.empty() && !parserWantsMore_) co_return error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    auto room = asio::buffer(room_);
    startTimer(deadline);
    size_t got = 0;
    if (tls_) {
      got = co_await tls_->async_read_some(room, token);
    } else {
      got = co_await socket_.async_read_some(room, token);
    }
    late_ = !stopTimer();
    input_.append(room_.data(), got);
    co_return error;
  }

  // Gives the parser what is there; false when it is no HTTP.
  bool parse() {
    parserWantsMore_ = false;
    while (!input_.empty() && !parser_->is_done()) {
      error_code error;
      size_t used = parser_->put(asio::buffer(input_), error);
      input_.erase(0, used);
      if (error == http::error::need_more) {
        parserWantsMore_ = true;
        return true;
      }
      if (error) {
        parseError_ = error;
        return false;
      }
    }
    return true;
  }

  // The end of the connection is the end of a body without a length.
  bool endsHere() {
    if (!parser_->need_eof()) return false;
    error_code error;
    parser_->put_eof(error);
    return !error;
  }

  void startTimer(Duration deadline) {
    late_ = false;
    uint64_t turn = ++turn_;
    timer_.expires_after(std::chrono::nanoseconds(std::max<int64_t>(deadline.nanos, 0)));
    timer_.async_wait([self = shared_from_this(), turn](const error_code& error) {
      if (error || self->turn_ != turn) return;
      self->late_ = true;
      self->cancel();
    });
  }
  // False when the time was over.
  bool stopTimer() {
    ++turn_;
    timer_.cancel();
    return !late_;
  }

  Failure fail(Failure failure, std::string trouble) {
    trouble_ = std::move(trouble);
    cancel();
    return failure;
  }

  TlsContext context_;
  tcp::resolver resolver_;
  tcp::socket socket_;
  std::optional<asio::ssl::stream<tcp::socket&>> tls_;
  asio::steady_timer timer_;
  uint64_t turn_ = 0;
  bool late_ = false;
  bool ended_ = false;
  bool parserWantsMore_ = false;
  std::string host_;
  std::array<char, READ_PIECE> room_;
  std::string input_;  // not parsed yet
  std::optional<Parser> parser_;
  error_code parseError_;
  std::string trouble_;
};

}  // namespace

std::shared_ptr<Upstream> Upstream::create(asio::io_context& loop, TlsContext tls) {
  return std::make_shared<TcpUpstream>(loop, std::move(tls));
}

std::optional<Target> parseEndpoint(std::string_view endpoint) {
  constexpr std::string_view SECURE = "https://";
  constexpr std::string_view PLAIN = "http://";
  Target target;
  target.tls = endpoint.starts_with(SECURE);
  if (!target.tls && !endpoint.starts_with(PLAIN)) return std::nullopt;
  std::string_view rest = endpoint.substr(target.tls ? SECURE.size() : PLAIN.size());
  size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  std::string_view host = rest.substr(0, colon);
  std::string_view port = rest.substr(colon + 1);
  bool isNumber = !port.empty() && port.size() <= 5 &&
                  std::ranges::all_of(port, [](char c) { return c >= '0' && c <= '9'; });
  if (!isNumber || rest.find('/') != std::string_view::npos) return std::nullopt;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  target.host = host;
  target.port = port;
  return target;
}

}  // namespace muster::gateway

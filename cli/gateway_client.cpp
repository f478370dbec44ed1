#include "cli/gateway_client.h"

#include "base/co.h"
#include "base/kj_time.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <kj/debug.h>

#include <array>
#include <charconv>
#include <utility>

namespace muster::cli {
namespace {

namespace http = boost::beast::http;

constexpr uint32_t HEAD_MAX = 64 * 1024;

// One request; lives as long as its promise.
class Exchange {
 public:
  Exchange(kj::Network& network, GatewayAddress gateway, CompletionCall call,
           OnCompletion onCompletion)
      : network_(network),
        gateway_(std::move(gateway)),
        call_(std::move(call)),
        onCompletion_(kj::mv(onCompletion)) {
    parser_.eager(true);
    parser_.header_limit(HEAD_MAX);
    parser_.body_limit(boost::none);
  }

  Co<int> run() {
    auto address = co_await network_.parseAddress(gateway_.host.c_str(), gateway_.port);
    stream_ = co_await address->connect();
    connected_ = true;
    std::string request = requestText();
    co_await stream_->write(request.data(), request.size());
    bool whole = co_await readAnswer();
    if (!isEvents()) onCompletion_(text_);
    co_return whole ? static_cast<int>(parser_.get().result_int()) : 0;
  }
  bool isConnected() const { return connected_; }

 private:
  std::string requestText() const {
    return "POST " + call_.path + " HTTP/1.1\r\nHost: " + gateway_.host + ":" +
           std::to_string(gateway_.port) +
           "\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " +
           std::to_string(call_.body.size()) + "\r\n\r\n" + call_.body;
  }

  // True when the answer ended as its head promised.
  Co<bool> readAnswer() {
    while (!parser_.is_done()) {
      size_t got = co_await stream_->tryRead(piece_.data(), 1, piece_.size());
      input_.append(piece_.data(), got);
      if (got == 0 || !parse()) co_return false;
    }
    co_return true;
  }

  // Takes as much of the input as is whole. False when it is no HTTP.
  bool parse() {
    while (!input_.empty() && !parser_.is_done()) {
      boost::beast::error_code error;
      input_.erase(0, parser_.put(boost::asio::buffer(input_), error));
      text_ += std::exchange(parser_.get().body(), {});
      if (isEvents()) takeEvents();
      if (error == http::error::need_more) return true;
      if (error) return false;
    }
    return true;
  }

  bool isEvents() const {
    return parser_.is_header_done() &&
           parser_.get()[http::field::content_type].starts_with("text/event-stream");
  }

  void takeEvents() {
    for (size_t end; (end = text_.find('\n')) != std::string::npos; text_.erase(0, end + 1)) {
      std::string_view line = std::string_view(text_).substr(0, end);
      constexpr std::string_view DATA = "data: ";
      if (line.ends_with('\r')) line.remove_suffix(1);
      bool isData = line.starts_with(DATA) && line != "data: [DONE]";
      if (isData) onCompletion_(line.substr(DATA.size()));
    }
  }

  kj::Network& network_;
  GatewayAddress gateway_;
  CompletionCall call_;
  OnCompletion onCompletion_;
  kj::Own<kj::AsyncIoStream> stream_;
  bool connected_ = false;
  std::array<char, 8192> piece_{};
  std::string input_;  // not parsed yet
  std::string text_;   // the answer's; of events the line that has not ended
  http::response_parser<http::string_body> parser_;
};

}  // namespace

Result<GatewayAddress> parseGatewayUrl(const std::string& url) {
  constexpr std::string_view PLAIN = "http://";
  std::string rest = url.starts_with(PLAIN) ? url.substr(PLAIN.size()) : "";
  while (rest.ends_with('/')) rest.pop_back();
  size_t colon = rest.rfind(':');
  unsigned port = 0;
  if (colon != std::string::npos) {
    std::from_chars(rest.data() + colon + 1, rest.data() + rest.size(), port);
  }
  if (colon == 0 || port == 0 || port > 65535) {
    return Refusal{RefusalCode::INVALID_VALUE,
                   "gateway is \"" + url + "\", it must be http://HOST:PORT"};
  }
  return GatewayAddress{rest.substr(0, colon), static_cast<uint16_t>(port)};
}

kj::Promise<Result<int>> complete(kj::Network& network, kj::Timer& timer, GatewayAddress gateway,
                                  CompletionCall call, OnCompletion onCompletion) {
  std::string where = gateway.host + ":" + std::to_string(gateway.port);
  Duration deadline = call.deadline;
  auto exchange =
      kj::heap<Exchange>(network, std::move(gateway), std::move(call), kj::mv(onCompletion));
  auto& running = *exchange;
  return timer.timeoutAfter(toKj(deadline), running.run().asPromise())
      .then([](int status) { return Result<int>(status); },
            [&running, where, deadline](kj::Exception&& exception) -> Result<int> {
              if (exception.getType() == kj::Exception::Type::OVERLOADED) {
                return Refusal{RefusalCode::TIMED_OUT,
                               "no whole answer from the gateway within " + toText(deadline)};
              }
              if (running.isConnected()) return 0;
              return Refusal{RefusalCode::NOT_FOUND,
                             "no gateway answers at " + where,
                             {},
                             {"muster-gateway --config FILE starts one; muster up has one"}};
            })
      .attach(kj::mv(exchange));
}

}  // namespace muster::cli

#include "base/http_door.h"

#include "base/server_tls.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>

namespace muster {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;

constexpr uint32_t REFUSED_CONNECTIONS =
    64;  // that are told 503; beyond these they are just closed

std::string portOf(const std::string& address) { return address.substr(address.rfind(':') + 1); }

Refusal wrongAddress(const std::string& address, const std::string& why) {
  return {RefusalCode::INVALID_VALUE,
          "cannot listen on \"" + address + "\": " + why,
          {},
          {"write HOST:PORT, for instance 0.0.0.0:7400 or [::]:7400"}};
}

Result<tcp::endpoint> resolve(asio::io_context& loop, const std::string& address) {
  size_t colon = address.rfind(':');
  if (colon == std::string::npos) return wrongAddress(address, "no port");
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  error_code error;
  auto found =
      tcp::resolver(loop).resolve(host, portOf(address), tcp::resolver::numeric_service, error);
  if (error) return wrongAddress(address, error.message());
  return found.begin()->endpoint();
}

std::optional<Refusal> openAcceptor(tcp::acceptor& acceptor, const tcp::endpoint& endpoint,
                                    const HttpServerOptions& options) {
  error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  bool isShared = options.port == HttpPort::SHARED;
  if (!error && isShared) acceptor.set_option(ReusePort(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) return std::nullopt;
  if (error != asio::error::address_in_use) return wrongAddress(options.address, error.message());
  std::string port = portOf(options.address);
  return Refusal{RefusalCode::PORT_IN_USE,
                 "port " + port + " of " + options.address + " is in use",
                 {},
                 {"ss -ltnp 'sport = :" + port + "'"}};
}

}  // namespace

HttpDoor::HttpDoor(asio::io_context& loop, HttpServerOptions options, std::string requestIdPrefix,
                   const Logger& logger, HttpIoSink& sink)
    : options_(std::move(options)),
      shared_{options_.limits, std::move(requestIdPrefix), logger, sink, options_.failure},
      loop_(loop) {}

Result<HttpDoor::TlsContext> HttpDoor::readTls() const {
  if (!options_.tls) return TlsContext();
  return readServerTls(*options_.tls);
}

std::optional<Refusal> HttpDoor::listen() {
  auto tls = readTls();
  if (!tls) return tls.refusal();
  tls_ = std::move(*tls);
  auto endpoint = resolve(loop_, options_.address);
  if (!endpoint) return endpoint.refusal();
  listening_.emplace(Listening{tcp::acceptor(loop_), asio::steady_timer(loop_)});
  if (auto refusal = openAcceptor(listening_->acceptor, *endpoint, options_)) return refusal;
  port_ = listening_->acceptor.local_endpoint().port();
  asio::co_spawn(loop_, accept(), asio::detached);
  return std::nullopt;
}

HttpConnection* HttpDoor::waiting(uint64_t exchange) const {
  auto found = shared_.waiting.find(exchange);
  return found == shared_.waiting.end() ? nullptr : found->second;
}

void HttpDoor::drain() {
  if (shared_.draining) return;
  shared_.draining = true;
  error_code ignored;
  listening_->acceptor.close(ignored);
  for (auto* connection : shared_.connections) connection->wake();
  if (shared_.connections.empty()) shared_.sink.onDrained();
}

asio::awaitable<void> HttpDoor::accept() {
  while (listening_->acceptor.is_open()) {
    error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    tcp::socket socket = co_await listening_->acceptor.async_accept(token);
    if (!error) admit(std::move(socket));
    if (!error || error == asio::error::operation_aborted) continue;
    // Out of descriptors, most likely: the clients in the queue wait until some are closed.
    shared_.logger.warn("cannot accept a connection", {{"cause", error.message()}});
    listening_->pause.expires_after(std::chrono::milliseconds(100));
    co_await listening_->pause.async_wait(token);
  }
}

void HttpDoor::admit(tcp::socket socket) {
  size_t count = shared_.connections.size();
  bool refused = count >= shared_.limits.connections;
  if (count >= shared_.limits.connections + REFUSED_CONNECTIONS) return;
  startHttpConnection(shared_, std::move(socket), tls_.get(),
                      refused ? HttpAdmission::REFUSE : HttpAdmission::SERVE);
}

}  // namespace muster

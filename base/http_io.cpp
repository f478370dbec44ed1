// The HTTP thread: listens, accepts, and carries answers to the connections.
#include "base/http_io.h"

#include "base/http_connection.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <openssl/ssl.h>

#include <chrono>
#include <signal.h>
#include <thread>

namespace muster {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

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

// Adds the refusal for one step of the TLS set-up that failed.
void checkTls(const error_code& error, const std::string& file, std::optional<Refusal>& refusal) {
  if (!error || refusal) return;
  refusal = Refusal{RefusalCode::INVALID_VALUE,
                    "cannot use the TLS file " + file + ": " + error.message()};
}

std::optional<Refusal> configureTls(asio::ssl::context& context, const TlsFiles& files) {
  error_code error;
  std::optional<Refusal> refusal;
  SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_3_VERSION);
  // Resumed sessions would carry an identity past the end of its certificate.
  SSL_CTX_set_session_cache_mode(context.native_handle(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.native_handle(), 0);
  context.set_verify_mode(asio::ssl::verify_peer, error);
  context.load_verify_file(files.ca, error);
  checkTls(error, files.ca, refusal);
  context.use_certificate_chain_file(files.certificate, error);
  checkTls(error, files.certificate, refusal);
  context.use_private_key_file(files.key, asio::ssl::context::pem, error);
  checkTls(error, files.key, refusal);
  return refusal;
}

class HttpIoImpl final : public HttpIo {
 public:
  HttpIoImpl(const HttpServerOptions& options, std::string requestIdPrefix, const Logger& logger,
             HttpIoSink& sink)
      : shared_{options.limits, std::move(requestIdPrefix), logger, sink},
        acceptor_(loop_),
        pause_(loop_) {}

  ~HttpIoImpl() noexcept(false) override {
    asio::post(loop_, [this] {
      shared_.ended = true;
      loop_.stop();
    });
    if (thread_.joinable()) thread_.join();
  }

  std::optional<Refusal> listen(const HttpServerOptions& options) {
    if (options.tls) {
      tls_.emplace(asio::ssl::context::tls_server);
      if (auto refusal = configureTls(*tls_, *options.tls)) return refusal;
    }
    auto endpoint = resolve(loop_, options.address);
    if (!endpoint) return endpoint.refusal();
    error_code error;
    acceptor_.open(endpoint->protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(*endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error == asio::error::address_in_use) {
      return Refusal{RefusalCode::PORT_IN_USE,
                     "port " + portOf(options.address) + " of " + options.address + " is in use",
                     {},
                     {"ss -ltnp 'sport = :" + portOf(options.address) + "'"}};
    }
    if (error) return wrongAddress(options.address, error.message());
    port_ = acceptor_.local_endpoint().port();
    startThread();
    return std::nullopt;
  }

  uint16_t port() const override { return port_; }

  void answer(uint64_t exchange, HttpResponse response) override {
    asio::post(loop_, [this, exchange, response = std::move(response)]() mutable {
      auto waiting = shared_.waiting.find(exchange);
      if (waiting != shared_.waiting.end()) waiting->second->answer(std::move(response));
    });
  }

  void drain() override {
    asio::post(loop_, [this] {
      if (shared_.draining) return;
      shared_.draining = true;
      error_code ignored;
      acceptor_.close(ignored);
      for (auto* connection : shared_.connections) connection->wake();
      if (shared_.connections.empty()) shared_.sink.onDrained();
    });
  }

 private:
  // Signals belong to the thread of the event loop: this one takes none.
  void startThread() {
    asio::co_spawn(loop_, accept(), asio::detached);
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { loop_.run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  asio::awaitable<void> accept() {
    while (acceptor_.is_open()) {
      error_code error;
      auto token = asio::redirect_error(asio::use_awaitable, error);
      tcp::socket socket = co_await acceptor_.async_accept(token);
      if (!error) admit(std::move(socket));
      if (!error || error == asio::error::operation_aborted) continue;
      // Out of descriptors, most likely: the clients in the queue wait until some are closed.
      shared_.logger.warn("cannot accept a connection", {{"cause", error.message()}});
      pause_.expires_after(std::chrono::milliseconds(100));
      co_await pause_.async_wait(token);
    }
  }

  void admit(tcp::socket socket) {
    size_t count = shared_.connections.size();
    bool refused = count >= shared_.limits.connections;
    if (count >= shared_.limits.connections + REFUSED_CONNECTIONS) return;
    auto* tls = tls_ ? &*tls_ : nullptr;
    startHttpConnection(shared_, std::move(socket), tls,
                        refused ? HttpAdmission::REFUSE : HttpAdmission::SERVE);
  }

  HttpShared shared_;
  std::optional<asio::ssl::context> tls_;
  uint16_t port_ = 0;
  asio::io_context loop_{1};  // destroyed before the above: it holds the connections
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  std::thread thread_;
};

}  // namespace

Result<kj::Own<HttpIo>> HttpIo::start(const HttpServerOptions& options, std::string requestIdPrefix,
                                      const Logger& logger, HttpIoSink& sink) {
  auto io = kj::heap<HttpIoImpl>(options, std::move(requestIdPrefix), logger, sink);
  if (auto refusal = io->listen(options)) return std::move(*refusal);
  return kj::Own<HttpIo>(kj::mv(io));
}

}  // namespace muster

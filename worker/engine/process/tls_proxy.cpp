#include "worker/engine/process/tls_proxy.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <chrono>
#include <filesystem>
#include <netinet/tcp.h>
#include <set>
#include <utility>

namespace muster::worker {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t PIECE = size_t{16} * 1024;  // a TLS record's
constexpr auto ACCEPT_RETRY = std::chrono::milliseconds(100);

// A host that vanished is noticed even when nobody speaks.
void watchPeer(tcp::socket& socket) {
  using KeepIdle = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPIDLE>;
  using KeepInterval = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPINTVL>;
  using KeepCount = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPCNT>;
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(tcp::socket::keep_alive(true), ignored);
  socket.set_option(KeepIdle(10), ignored);
  socket.set_option(KeepInterval(5), ignored);
  socket.set_option(KeepCount(3), ignored);
}

Refusal cannotListen(const TlsProxyOptions& options, const error_code& error) {
  bool isTaken = error == asio::error::address_in_use;
  return {isTaken ? RefusalCode::PORT_IN_USE : RefusalCode::INVALID_VALUE,
          "cannot listen on port " + std::to_string(options.port) + " of " + options.address +
              ": " + error.message()};
}

// Unlike the HTTP ports, which tell health to anybody, nobody is served without a certificate.
Result<ServerTls> readGatewayTls(const TlsFiles& files) {
  auto tls = readServerTls(files);
  if (!tls) return tls;
  error_code ignored;
  (*tls)->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert, ignored);
  return tls;
}

std::filesystem::file_time_type writtenAt(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::last_write_time(path, ignored);
}

}  // namespace

// What the connections share with the proxy, which they may outlive.
struct TlsProxy::Shared {
  Shared(asio::io_context& loop, TlsProxyOptions asked,
         std::function<void(const std::string&)> tell)
      : options(std::move(asked)), refused(std::move(tell)), renewal(loop) {}

  TlsProxyOptions options;
  std::function<void(const std::string&)> refused;
  ServerTls tls;
  std::filesystem::file_time_type certificateOf;  // what `tls` was read from
  asio::steady_timer renewal;
  bool ended = false;
  std::set<Connection*> connections;
  std::function<void()> drained;  // set once the engine is gone

  // Keeps what it had when the files cannot be used.
  Result<Done> readTls() {
    auto written = writtenAt(options.tls.certificate);
    auto fresh = readGatewayTls(options.tls);
    if (!fresh) return fresh.refusal();
    tls = std::move(*fresh);
    certificateOf = written;
    return Done{};
  }

  void leave(Connection* connection) {
    connections.erase(connection);
    if (connections.empty() && drained) drained();
  }
};

class TlsProxy::Connection final : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<Shared> shared, tcp::socket socket)
      : shared_(std::move(shared)),
        tlsOptions_(shared_->tls),
        client_(std::move(socket)),
        tls_(client_, *tlsOptions_),
        engine_(client_.get_executor()),
        timer_(client_.get_executor()) {
    shared_->connections.insert(this);
    watchPeer(client_);
  }
  ~Connection() noexcept { shared_->leave(this); }
  KJ_DISALLOW_COPY(Connection);

  using Self = std::shared_ptr<Connection>;

  asio::awaitable<void> run(Self self) {
    bool isAdmitted = co_await admit();
    if (!isAdmitted) co_return close();
    bool isReached = co_await reachEngine();
    if (!isReached) co_return close();
    asio::co_spawn(client_.get_executor(), carryToEngine(self), asio::detached);
    co_await carryToClient();
    close();
  }

  // The engine is gone: the client's end is not waited for.
  void hurry() {
    if (lingering_) close();
  }

 private:
  asio::awaitable<bool> admit() {
    error_code error;
    startTimer(shared_->options.limits.handshake);
    co_await tls_.async_handshake(asio::ssl::stream_base::server,
                                  asio::redirect_error(asio::use_awaitable, error));
    stopTimer();
    if (error) co_return false;  // scanners and probes do so all day
    auto peer = peerIdentityOf(tls_.native_handle());
    bool isGateway = peer && peer->role == Role::GATEWAY;
    if (!isGateway) {
      shared_->refused((peer ? commonName(*peer) : "a certificate without a role") +
                       " may not ask this engine; role gateway may");
    }
    co_return isGateway;
  }

  asio::awaitable<bool> reachEngine() {
    error_code error;
    tcp::endpoint engine(asio::ip::address_v4::loopback(), shared_->options.enginePort);
    startTimer(shared_->options.limits.engineConnect);
    co_await engine_.async_connect(engine, asio::redirect_error(asio::use_awaitable, error));
    stopTimer();
    error_code ignored;
    if (!error) engine_.set_option(tcp::no_delay(true), ignored);
    co_return !error;
  }

  asio::awaitable<void> carryToEngine([[maybe_unused]] Self self) {
    error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    for (;;) {
      size_t got = co_await tls_.async_read_some(asio::buffer(toEngine_), token);
      if (error) break;
      co_await asio::async_write(engine_, asio::buffer(toEngine_.data(), got), token);
      if (error) co_return;  // it reads no more; what it still says goes to the client
    }
    error_code ignored;
    if (error == asio::error::eof) {
      engine_.shutdown(tcp::socket::shutdown_send, ignored);
    } else {
      reset();
    }
  }

  asio::awaitable<void> carryToClient() {
    error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    for (;;) {
      size_t got = co_await engine_.async_read_some(asio::buffer(toClient_), token);
      if (error) break;
      co_await asio::async_write(tls_, asio::buffer(toClient_.data(), got), token);
      if (error) break;
    }
    if (error == asio::error::eof) {
      co_await endWell();
    } else {
      reset();
    }
  }

  // Our close_notify says that the answer is whole. The client's end is waited for, since closing
  // before it could cost the client the last bytes.
  asio::awaitable<void> endWell() {
    error_code ignored;
    lingering_ = true;
    startTimer(shared_->drained ? Duration{} : shared_->options.limits.linger);
    co_await tls_.async_shutdown(asio::redirect_error(asio::use_awaitable, ignored));
    stopTimer();
  }

  // Either side sees a broken connection, and never the end of a whole request or answer.
  void reset() {
    error_code ignored;
    client_.set_option(tcp::socket::linger(true, 0), ignored);
    engine_.set_option(tcp::socket::linger(true, 0), ignored);
    close();
  }

  void close() {
    error_code ignored;
    client_.close(ignored);
    engine_.close(ignored);
  }

  void startTimer(Duration deadline) {
    timer_.expires_after(std::chrono::nanoseconds(deadline.nanos));
    timer_.async_wait([self = shared_from_this()](const error_code& error) {
      if (!error) self->close();
    });
  }
  void stopTimer() { timer_.cancel(); }

  std::shared_ptr<Shared> shared_;
  ServerTls tlsOptions_;  // of this connection, whatever is read later
  tcp::socket client_;
  asio::ssl::stream<tcp::socket&> tls_;
  tcp::socket engine_;
  asio::steady_timer timer_;
  bool lingering_ = false;
  std::array<char, PIECE> toEngine_;
  std::array<char, PIECE> toClient_;
};

TlsProxy::TlsProxy(asio::io_context& loop, TlsProxyOptions options,
                   std::function<void(const std::string&)> refused)
    : shared_(std::make_shared<Shared>(loop, std::move(options), std::move(refused))),
      acceptor_(loop) {}

TlsProxy::~TlsProxy() noexcept {
  shared_->ended = true;
  shared_->drained = nullptr;
  shared_->renewal.cancel();
}

size_t TlsProxy::connections() const { return shared_->connections.size(); }

Result<Done> TlsProxy::listen() {
  auto read = shared_->readTls();
  if (!read) return read;
  error_code error;
  const TlsProxyOptions& options = shared_->options;
  tcp::endpoint endpoint(asio::ip::make_address(options.address, error), options.port);
  if (!error) acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) return cannotListen(options, error);
  port_ = acceptor_.local_endpoint().port();
  asio::co_spawn(acceptor_.get_executor(), accept(), asio::detached);
  asio::co_spawn(acceptor_.get_executor(), renew(shared_), asio::detached);
  return Done{};
}

// The agent that is told of new certificates may not be there, so that the files are looked at.
asio::awaitable<void> TlsProxy::renew(std::shared_ptr<Shared> shared) {
  error_code ignored;
  while (!shared->ended) {
    shared->renewal.expires_after(std::chrono::nanoseconds(shared->options.limits.renewal.nanos));
    co_await shared->renewal.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    bool isNew = writtenAt(shared->options.tls.certificate) != shared->certificateOf;
    if (isNew && !shared->ended) (void)shared->readTls();  // what cannot be used is tried again
  }
}

asio::awaitable<void> TlsProxy::accept() {
  auto shared = shared_;
  asio::steady_timer pause(acceptor_.get_executor());
  error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  for (;;) {
    tcp::socket socket = co_await acceptor_.async_accept(token);
    if (error == asio::error::operation_aborted) co_return;
    if (error) {  // out of descriptors, most likely: the clients in the queue wait
      pause.expires_after(ACCEPT_RETRY);
      co_await pause.async_wait(token);
      continue;
    }
    if (shared->connections.size() >= shared->options.limits.connections) continue;
    auto connection = std::make_shared<Connection>(shared, std::move(socket));
    asio::co_spawn(pause.get_executor(), connection->run(connection), asio::detached);
  }
}

void TlsProxy::drain(std::function<void()> done) {
  error_code ignored;
  acceptor_.close(ignored);
  shared_->drained = std::move(done);
  auto connections = shared_->connections;  // closing may end some of them
  for (Connection* connection : connections) connection->hurry();
  if (shared_->connections.empty()) shared_->drained();
}

}  // namespace muster::worker

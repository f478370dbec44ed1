// The front door of an HTTP port on an asio loop of its owner: listens, admits clients, and finds
// the connection that waits for an answer. For programs that have such a loop; all others take
// http_server.h.
#pragma once

#include "base/http_connection.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <kj/common.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace muster {

// Everything happens on the loop's thread. The loop is destroyed before the door, since it holds
// the connections, and after end().
class HttpDoor {
 public:
  HttpDoor(boost::asio::io_context& loop, HttpServerOptions options, std::string requestIdPrefix,
           const Logger& logger, HttpIoSink& sink);
  KJ_DISALLOW_COPY(HttpDoor);

  // What connections to come are given; those there hold on to the one they began with.
  using TlsContext = std::shared_ptr<boost::asio::ssl::context>;
  // The TLS files as they are now; null without TLS. Refuses INVALID_VALUE. From any thread.
  Result<TlsContext> readTls() const;
  void useTls(TlsContext tls) { tls_ = std::move(tls); }

  // What stands in the way: PORT_IN_USE, or INVALID_VALUE for an address or a TLS file.
  std::optional<Refusal> listen();
  size_t connections() const { return shared_.connections.size(); }
  uint16_t port() const { return port_; }

  // The connection that waits for this exchange; nothing when it is over.
  HttpConnection* waiting(uint64_t exchange) const;
  // Takes no more clients, closes idle connections; sink.onDrained() when the last one is gone.
  void drain();
  // The loop is about to be torn down: nothing is said to the sink any more.
  void end() {
    shared_.ended = true;
    listening_.reset();
  }

 private:
  boost::asio::awaitable<void> accept();
  void admit(boost::asio::ip::tcp::socket socket);

  HttpServerOptions options_;
  HttpShared shared_;
  TlsContext tls_;
  uint16_t port_ = 0;
  boost::asio::io_context& loop_;
  struct Listening {
    boost::asio::ip::tcp::acceptor acceptor;
    boost::asio::steady_timer pause;
  };
  std::optional<Listening> listening_;
};

}  // namespace muster

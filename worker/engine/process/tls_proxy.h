// TLS for an engine that has none: what gateways send goes to the engine's port on loopback, what
// it answers goes back. Bytes are carried as they are; nothing is known of HTTP.
#pragma once

#include "base/result.h"
#include "base/server_tls.h"
#include "base/tls_transport.h"
#include "base/units.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <kj/common.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace muster::worker {

// Beyond these nothing has a deadline: an answer may take its time, and the gateway knows better
// how long. A peer that vanished is noticed by the kernel's keep-alive within half a minute.
struct TlsProxyLimits {
  uint32_t connections = 4096;   // more are closed at once
  Duration handshake = 10_s;     // and then closed
  Duration engineConnect = 2_s;  // and then closed
  Duration linger = 5_s;         // for the client's end after the engine's
  Duration renewal = 30_s;       // until files that were replaced are read, at the latest
};

struct TlsProxyOptions {
  std::string address;      // IP address where gateways come: "10.0.0.3"
  uint16_t port = 0;        // there; 0 asks the kernel for one
  uint16_t enginePort = 0;  // on 127.0.0.1
  TlsFiles tls;             // the node's own certificate
  TlsProxyLimits limits = {};
};

// Everything happens on the loop's thread. Connections live on the loop and may outlive the proxy.
//
// A client is let in with a certificate of role gateway of the same authority. Each direction holds
// at most 16 KiB that the other side has not taken. A client's end (close_notify) reaches the
// engine as the end of its input, while the answer goes on; a client that goes away without it, and
// an engine that breaks off, end both sides at once, so that a cut answer is not taken for a whole
// one. The engine's end closes the connection.
//
// A certificate that was replaced is shown to connections made from then on; one that cannot be
// used changes nothing, and is tried again.
class TlsProxy {
 public:
  // `refused` is told who was not let in, in words; it must not throw.
  TlsProxy(boost::asio::io_context& loop, TlsProxyOptions options,
           std::function<void(const std::string&)> refused);
  ~TlsProxy() noexcept;
  KJ_DISALLOW_COPY(TlsProxy);

  // Refuses PORT_IN_USE, and INVALID_VALUE for an address or a TLS file that cannot be used.
  Result<Done> listen();
  uint16_t port() const { return port_; }
  size_t connections() const;

  // The engine is gone: takes no more connections, and calls `done` once those that are there have
  // given their clients what the engine left behind.
  void drain(std::function<void()> done);

 private:
  class Connection;
  struct Shared;

  boost::asio::awaitable<void> accept();
  static boost::asio::awaitable<void> renew(std::shared_ptr<Shared> shared);

  std::shared_ptr<Shared> shared_;
  boost::asio::ip::tcp::acceptor acceptor_;
  uint16_t port_ = 0;
};

}  // namespace muster::worker

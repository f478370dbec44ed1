// HTTP ports of our daemons. The protocol runs in a thread of its own; each request is handed to
// the kj loop that started the server, where the handler runs, and its answer goes back.
#pragma once

#include "base/http_message.h"
#include "base/log.h"
#include "base/random.h"
#include "base/tls_transport.h"
#include "base/units.h"

#include <kj/async.h>
#include <kj/function.h>
#include <kj/memory.h>

#include <cstdint>
#include <optional>
#include <string>

namespace muster {

// Every deadline counts from the moment its phase starts, whatever arrives meanwhile.
struct HttpLimits {
  Bytes head = 32_KiB;           // request line and headers; above: 431
  Bytes body = 1_MiB;            // above: 413
  uint32_t connections = 1024;   // above: 503
  Duration headDeadline = 10_s;  // first byte to end of head, and the TLS handshake; then 408
  Duration bodyDeadline = 60_s;  // end of head to end of body; then 408
  Duration idleDeadline = 75_s;  // between requests; then the connection is closed
  // Until the handler answers; then it is cancelled and 504. And for each piece of a stream; then
  // the stream is broken off.
  Duration handlerDeadline = 60_s;
  Duration writeDeadline = 60_s;  // until the client has taken the answer; then closed
  Duration lingerDeadline = 1_s;  // for the client's end after ours
};

// How a request is answered that never reaches a handler: one that is no HTTP, or late, or too
// large.
using HttpFailureAnswer = HttpResponse (*)(const Refusal& refusal, const std::string& requestId,
                                           std::optional<int> status);

enum class HttpPort { OWN, SHARED };  // SHARED: several processes or threads listen on it

struct HttpServerOptions {
  std::string
      address;  // "0.0.0.0:7400", "[::1]:7400", "localhost:0"; port 0 asks the kernel for one
  HttpLimits limits = {};
  // TLS 1.3 or later. A client certificate is asked for and verified against `ca`; without one the
  // connection stands, and the handler sees no identity.
  std::optional<TlsFiles> tls = std::nullopt;
  HttpFailureAnswer failure = problemResponse;
  HttpPort port = HttpPort::OWN;
};

// Dropping the returned promise must be harmless: that is what happens when the client goes away or
// waits too long. A rejected promise is logged and answered by 503 (OVERLOADED, DISCONNECTED) or
// 500; its text is not sent.
using HttpHandler = kj::Function<kj::Promise<HttpResponse>(HttpRequest)>;

class HttpServer {
 public:
  virtual ~HttpServer() noexcept(false) = default;

  // Listens when it returns. To be called and destroyed on the thread of a kj event loop.
  // Destroying it closes all connections at once and cancels what the handler still does. Refuses
  // PORT_IN_USE with the address, INVALID_VALUE for an address or a TLS file that cannot be used.
  static Result<kj::Own<HttpServer>> start(const HttpServerOptions& options, HttpHandler handler,
                                           const Logger& logger, Random& random);

  virtual uint16_t port() const = 0;

  // Reads the TLS files again, for connections made from now on; those there are go on as they are.
  // Refuses INVALID_VALUE for a file that cannot be used, and then keeps what it had. Without TLS
  // it does nothing.
  virtual Result<Done> reloadTls() = 0;

  // Takes no more connections, closes idle ones, lets running requests end. Done when no connection
  // is left, at the latest after the handler's, the write and the linger deadline; a stream runs
  // to its end.
  virtual kj::Promise<void> drain() = 0;
};

}  // namespace muster

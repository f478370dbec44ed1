// The thread side of http_server.cpp: sockets, TLS and the protocol. Not for others.
#pragma once

#include "base/http_server.h"

namespace muster {

// Called on the HTTP thread; must not block.
class HttpIoSink {
 public:
  virtual ~HttpIoSink() noexcept(false) = default;
  virtual void onRequest(uint64_t exchange, HttpRequest request) = 0;
  virtual void onCancel(uint64_t exchange) = 0;  // nobody waits for this answer any more
  virtual void onDrained() = 0;
};

class HttpIo {
 public:
  virtual ~HttpIo() noexcept(false) = default;  // ends the thread; no call of the sink comes after

  static Result<kj::Own<HttpIo>> start(const HttpServerOptions& options,
                                       std::string requestIdPrefix, const Logger& logger,
                                       HttpIoSink& sink);

  virtual uint16_t port() const = 0;
  // From any thread. An answer to an exchange that is over is dropped.
  virtual void answer(uint64_t exchange, HttpResponse response) = 0;
  virtual void drain() = 0;
};

}  // namespace muster

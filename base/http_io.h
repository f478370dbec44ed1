// The thread side of http_server.cpp: sockets, TLS and the protocol. Not for others.
#pragma once

#include "base/http_server.h"

namespace muster {

enum class HttpStreamEnd { COMPLETE, BROKEN };

// Called on the HTTP thread; must not block.
class HttpIoSink {
 public:
  virtual ~HttpIoSink() noexcept(false) = default;
  virtual void onRequest(uint64_t exchange, HttpRequest request) = 0;
  virtual void onCancel(uint64_t exchange) = 0;  // nobody waits for this answer any more
  virtual void onRoom(uint64_t exchange) = 0;    // the next piece of its stream may come
  virtual void onDrained() = 0;
};

class HttpIo {
 public:
  virtual ~HttpIo() noexcept(false) = default;  // ends the thread; no call of the sink comes after

  static Result<kj::Own<HttpIo>> start(const HttpServerOptions& options,
                                       std::string requestIdPrefix, const Logger& logger,
                                       HttpIoSink& sink);

  virtual uint16_t port() const = 0;
  virtual Result<Done> reloadTls() = 0;  // on the thread that started it
  // From any thread. What comes for an exchange that is over is dropped.
  virtual void answer(uint64_t exchange, HttpResponse response) = 0;
  // The head of `response`; its body follows by one append() after each onRoom(), and finish().
  virtual void begin(uint64_t exchange, HttpResponse response) = 0;
  virtual void append(uint64_t exchange, std::string piece) = 0;
  virtual void finish(uint64_t exchange, HttpStreamEnd end) = 0;
  virtual void drain() = 0;
};

}  // namespace muster

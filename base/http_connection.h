// One client of the HTTP adapter and what all of them share. For the adapter, and for who has an
// HttpDoor.
#pragma once

#include "base/http_io.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>

#include <map>
#include <set>
#include <string>

namespace muster {

enum class HttpBodyKind { WHOLE, STREAMED };

class HttpConnection {
 public:
  virtual ~HttpConnection() noexcept(false) = default;
  virtual void answer(HttpResponse response, HttpBodyKind kind) = 0;
  virtual void append(std::string piece) = 0;
  virtual void finish(HttpStreamEnd end) = 0;
  virtual void wake() = 0;  // something of HttpShared has changed
};

// Belongs to the thread of the loop.
struct HttpShared {
  HttpLimits limits;
  std::string requestIdPrefix;
  Logger logger;
  HttpIoSink& sink;
  HttpFailureAnswer failure;
  std::set<HttpConnection*> connections = {};
  std::map<uint64_t, HttpConnection*> waiting = {};  // by exchange: a handler works for it
  uint64_t lastExchange = 0;
  uint64_t lastRequestId = 0;
  bool draining = false;
  bool ended = false;  // the loop is being torn down: nobody is told any more
};

enum class HttpAdmission { SERVE, REFUSE };  // REFUSE: 503 and close

// Serves the client until it is gone. The connection owns itself; it is among `shared.connections`
// as long as it is there. `tls` may be null.
void startHttpConnection(HttpShared& shared, boost::asio::ip::tcp::socket socket,
                         boost::asio::ssl::context* tls, HttpAdmission admission);

}  // namespace muster

// One connection to a server that we ask: a replica, or a coordinator. HTTP/1.1, one request at a
// time, every wait with a deadline.
#pragma once

#include "base/units.h"
#include "gateway/retry_rules.h"
#include "gateway/tls_context.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace muster::gateway {

// Where to connect, and who must be there.
struct Target {
  std::string host;
  std::string port;
  bool tls = true;
  std::string serverName;  // in the certificate: "worker.CLUSTER.muster"
  std::string peer;        // its common name: "worker/w1"; empty: any with that server name
};

// "https://10.0.0.3:41005" or "http://[::1]:8000". Nothing for anything else, a path included.
std::optional<Target> parseEndpoint(std::string_view endpoint);

struct UpstreamHead {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
};

struct UpstreamRequest {
  std::string method;
  std::string target;                          // with the query
  std::map<std::string, std::string> headers;  // beyond Host and Content-Length
  std::string body;
};

// Everything happens on the loop's thread. A coroutine of it that runs must end before it is
// destroyed.
class Upstream {
 public:
  virtual ~Upstream() = default;

  // `tls` may be null when no target asks for TLS.
  static std::shared_ptr<Upstream> create(boost::asio::io_context& loop, TlsContext tls);

  template <class T>
  using Awaitable = boost::asio::awaitable<T>;

  // Resolves, connects, shakes hands. Nothing when it is done; else what failed.
  virtual Awaitable<std::optional<Failure>> connect(Target target, Duration deadline) = 0;
  virtual Awaitable<std::optional<Failure>> send(UpstreamRequest request, Duration deadline) = 0;
  virtual Awaitable<std::variant<UpstreamHead, Failure>> readHead(Duration deadline) = 0;
  // The next bytes of the body as they come; empty at its end. A body that ends early is BROKEN.
  virtual Awaitable<std::variant<std::string, Failure>> readPiece(Duration deadline) = 0;

  // The answer has ended, and the server keeps the connection.
  virtual bool isReusable() const = 0;
  // A kept connection that has neither ended nor said anything meanwhile.
  virtual bool isQuiet() = 0;
  // What failed last, for the log.
  virtual const std::string& trouble() const = 0;
  // Closes the connection; what waits fails. From the loop's thread.
  virtual void cancel() = 0;
};

}  // namespace muster::gateway

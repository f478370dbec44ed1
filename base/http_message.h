// Requests and answers of HTTP as values: what a handler sees, whatever library speaks the
// protocol.
#pragma once

#include "base/result.h"
#include "base/transport.h"

#include <kj/async.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace muster {

struct HttpRequest {
  std::string method;  // "GET"; handlers refuse what they do not serve
  std::string path;    // as sent, percent signs too, up to '?'; starts with '/'
  std::map<std::string, std::string> query;    // percent-decoded
  std::map<std::string, std::string> headers;  // names in lower case; repeated ones joined by ", "
  std::string body;
  // Of the verified client certificate; nothing without one, without TLS, or where its name is not
  // "role/name".
  std::optional<PeerIdentity> peerIdentity;
  std::string remoteAddress;  // "10.0.0.7:51234", for the audit
  std::string requestId;      // the client's X-Request-Id where it is a plain word, else a new one
};

// A body that is made piece by piece: events, tokens. Lives on the thread of the handler and is
// destroyed when its client is gone, however that came about.
class HttpBodyStream {
 public:
  virtual ~HttpBodyStream() noexcept(false) = default;

  // The next piece, never empty; nothing at the end. Asked again only after the piece before has
  // gone out, so that a slow client slows its source down. Dropping the promise must be harmless.
  // A rejected one breaks the connection off: the client sees that the body is not complete.
  virtual kj::Promise<std::optional<std::string>> next() = 0;
};

// An answer. Its body is `body`, or what `stream` makes where there is one.
struct HttpResponse {
  int status = 200;
  std::string contentType = "application/json";
  std::map<std::string, std::string> headers = {};  // beyond those the adapter sets itself
  std::string body = {};
  std::shared_ptr<HttpBodyStream> stream = nullptr;
};

// application/problem+json as every HTTP surface answers a refusal; `status` replaces the code's
// own when given. Retryable ones at 503 carry Retry-After.
HttpResponse problemResponse(const Refusal& refusal, const std::string& requestId,
                             std::optional<int> status = std::nullopt);

// "a=1&b=x%20y". Refuses INVALID_SYNTAX for a broken escape, DUPLICATE_KEY for a name given twice.
Result<std::map<std::string, std::string>> parseQuery(std::string_view text);

}  // namespace muster

// The HTTP port of a coordinator: health, metrics, and lists of objects read from what is applied
// here.
#pragma once

#include "base/http_message.h"
#include "coordinator/api.h"
#include "coordinator/watch_hub.h"

#include <kj/async.h>

#include <string>

namespace muster::coordinator {

// OFF only for a port without TLS: everybody is a viewer then.
enum class ClientCertificates { OFF, REQUIRED };

// Answers requests; for HttpServer::start. `context` outlives it.
//
// Every path but the two health paths asks for a client certificate of role viewer or above, or of
// a gateway where it watches: 401 without one, 403 with another.
class HttpApi {
 public:
  HttpApi(ApiContext& context, ClientCertificates certificates)
      : context_(context), certificates_(certificates), hub_(context.coordinator) {}

  kj::Promise<HttpResponse> handle(HttpRequest request);

 private:
  kj::Promise<HttpResponse> route(const HttpRequest& request);

  ApiContext& context_;
  ClientCertificates certificates_;
  WatchHub hub_;
};

// Three facts that must not be mixed up, and whether this coordinator may be sent work: a standby
// that keeps up with the log, or a leader that serves.
struct Readiness {
  bool elected = false;
  bool caughtUp = false;
  bool serving = false;
  std::vector<std::string> reasons;  // why not ready; empty when ready
  bool ready() const { return reasons.empty(); }
};
Readiness readinessOf(const CoordinatorFacts& facts, Duration age);

}  // namespace muster::coordinator

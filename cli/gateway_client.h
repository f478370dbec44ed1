// Asks a gateway for a completion and hears the answer as it comes. Plain HTTP; one connection for
// each request.
#pragma once

#include "base/result.h"
#include "base/units.h"

#include <kj/async-io.h>
#include <kj/function.h>
#include <kj/timer.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace muster::cli {

struct GatewayAddress {
  std::string host;
  uint16_t port = 0;
};

// "http://127.0.0.1:7402". Refuses INVALID_VALUE for anything else.
Result<GatewayAddress> parseGatewayUrl(const std::string& url);

struct CompletionCall {
  std::string path;  // "/v1/chat/completions"
  std::string body;  // JSON
  Duration deadline = 10_min;
};

// The JSON of each event of a stream, or of a whole answer; "[DONE]" is passed over.
using OnCompletion = kj::Function<void(std::string_view json)>;

// The status of the answer once it has ended; 0 when it broke off. Refuses NOT_FOUND when no
// gateway is there, TIMED_OUT at the deadline. Network and timer outlive the promise; dropping it
// cancels the request.
kj::Promise<Result<int>> complete(kj::Network& network, kj::Timer& timer, GatewayAddress gateway,
                                  CompletionCall call, OnCompletion onCompletion);

}  // namespace muster::cli

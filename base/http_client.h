// One GET to a program on this machine, for readiness probes. Plain HTTP, nothing kept open, no
// redirects.
#pragma once

#include "base/result.h"
#include "base/units.h"

#include <kj/async-io.h>
#include <kj/timer.h>

#include <cstdint>
#include <string>

namespace muster {

struct HttpProbe {
  uint16_t port = 0;  // of 127.0.0.1
  std::string path =
      "/";  // with its query; must start with '/' and hold neither spaces nor control characters
  Duration deadline = 2_s;  // for all of it
};

// The status of the answer, whatever it is. Refuses HEALTH_CHECK_FAILED when nobody answers in
// HTTP, TIMED_OUT at the deadline, INVALID_VALUE for an unusable path; the text names the URL.
// Never throws for what the peer does. Network and timer must outlive the promise; dropping it
// closes the connection.
kj::Promise<Result<int>> probeHttp(kj::Network& network, kj::Timer& timer, HttpProbe probe);

}  // namespace muster

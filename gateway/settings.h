// What a gateway is told by its configuration.
#pragma once

#include "base/http_server.h"
#include "base/log.h"
#include "base/tls_transport.h"
#include "base/units.h"
#include "gateway/balancer.h"
#include "gateway/completion_request.h"
#include "gateway/outlier.h"

#include <cstdint>
#include <string>
#include <vector>

namespace muster::gateway {

struct Deadlines {
  Duration connect = 2_s;         // to a replica, TLS included
  Duration firstByte = 5_min;     // from the sent request to the answer
  Duration betweenBytes = 2_min;  // of an answer
  Duration request = 60_min;      // all of it
  Duration drain = 2_min;         // for running requests, when the gateway is stopped
};

// Whether replicas that speak plain HTTP are asked on other machines than this one.
enum class PlainBackends { LOOPBACK, ANYWHERE };

struct Settings {
  ClusterName cluster;
  std::string id;                         // "gw1"
  std::vector<std::string> coordinators;  // HTTP addresses, "host:port"
  std::string dataDirectory;
  std::string listen;
  uint32_t threads = 1;
  HttpLimits limits;
  Deadlines deadlines;
  Balance balance = Balance::LEAST_OUTSTANDING;
  OutlierRules outlier;
  PrefixRules prefix;
  PlainBackends plain = PlainBackends::LOOPBACK;
  TlsFiles tls;
  LogLevel logLevel = LogLevel::INFO;
  LogFormat logFormat = LogFormat::TEXT;
};

}  // namespace muster::gateway

// How many calls of which kind were answered how, and how long they took: for /metrics.
#pragma once

#include "coordinator/coordinator_facts.h"

#include <cstdint>
#include <map>
#include <string>
#include <utility>

namespace muster::coordinator {

// Keys come from fixed tables (methods of the schema, routes, codes), so that they stay few.
struct CallStats {
  std::map<std::string, DurationHistogram> rpc;                       // by method
  std::map<std::pair<std::string, std::string>, uint64_t> rpcErrors;  // by method and code
  std::map<std::pair<std::string, int>, DurationHistogram> http;      // by route and status
};

}  // namespace muster::coordinator

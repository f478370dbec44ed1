// JSON from foreign files, read within limits.
#pragma once

#include "base/result.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace muster::sharding {

struct JsonLimits {
  std::string file;  // name for error texts
  RefusalCode code = RefusalCode::MODEL_CONFIG_INVALID;
  uint64_t bytesMax = 0;
  int depthMax = 0;  // objects and arrays inside each other
};

// Parses one JSON object. Refuses with `limits.code`: too large, too deep, a key twice in one
// object, anything but an object, and broken syntax with its place.
Result<nlohmann::json> parseJsonObject(std::string_view text, const JsonLimits& limits);

}  // namespace muster::sharding

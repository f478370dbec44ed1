// gateway.toml.
#pragma once

#include "base/config.h"
#include "base/result.h"
#include "gateway/settings.h"

namespace muster::gateway {

const ConfigSchema& gatewaySchema();

// Refuses INVALID_NAME and INVALID_VALUE for what the schema cannot judge.
Result<Settings> gatewaySettings(const ConfigTable& table);

}  // namespace muster::gateway

// GET /v1/models: what may be asked for.
#pragma once

#include "base/http_message.h"
#include "gateway/route_table.h"

#include <optional>
#include <string>

namespace muster::gateway {

// All names and aliases, whether their replicas are ready or not.
HttpResponse modelList(const RouteTable& table);
// One of them; nothing when there is no such model.
std::optional<HttpResponse> modelObject(const RouteTable& table, const std::string& name);

}  // namespace muster::gateway

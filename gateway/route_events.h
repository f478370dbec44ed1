// The JSON of the coordinators' event stream, and of the view that outlives the gateway.
#pragma once

#include "base/result.h"
#include "gateway/route_table.h"

#include <string>
#include <string_view>

namespace muster::gateway {

// `name` and `data` of one event. Objects of other kinds than routes are passed over. Refuses
// INVALID_SYNTAX, INVALID_VALUE.
Result<RouteEvent> parseRouteEvent(std::string_view name, std::string_view data);

// The id by which a stream is resumed: "3-<guid>/1234".
std::string toText(const ViewPosition& position);

// The table as a snapshot event's data, and back.
std::string toJson(const RouteTable& table);
Result<RouteTable> parseRouteTable(std::string_view json);

}  // namespace muster::gateway

// Objects of a coordinator as texts for people.
#pragma once

#include "base/units.h"

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muster::cli {

using Json = nlohmann::ordered_json;

// The object with every text made printable: what is shown to people is made of this.
Json printableJson(const Json& json);

// The value at a JSON pointer as text: strings as they are, numbers and booleans in JSON, lists
// separated by ","; empty for null and what is not there.
std::string textAt(const Json& json, const std::string& pointer);
// 0 for what is no number.
uint64_t numberAt(const Json& json, const std::string& pointer);
// Nothing for what is no number.
std::optional<double> fractionAt(const Json& json, const std::string& pointer);
// An empty list for what is none.
const Json& listAt(const Json& json, const std::string& pointer);
const Json& listAt(Json&& json, const std::string& pointer) = delete;  // the list would be gone

// "-" for an empty text, as tables show it.
std::string orDash(const std::string& text);

std::optional<WallTime> parseRfc3339(std::string_view text);
// "2m40s" since the time at the pointer; "-" without one.
std::string ageAt(const Json& json, const std::string& pointer, WallTime now);
// "2m40s ago", for sentences; "a moment ago" within the first second.
std::string agoText(Duration age);
std::string agoAt(const Json& json, const std::string& pointer, WallTime now);

// "chat-70b", or "search/ranker" when it is of another tenant than the user's.
std::string deploymentName(const std::string& tenant, const std::string& name,
                           std::string_view ownTenant);

// "0-3,6": numbers as ranges.
std::string rangesText(const Json& numbers);

}  // namespace muster::cli

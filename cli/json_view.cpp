#include "cli/json_view.h"

#include "cli/text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace muster::cli {
namespace {

const Json NOTHING = nullptr;
const Json EMPTY_LIST = Json::array();

const Json& at(const Json& json, const std::string& pointer) {
  Json::json_pointer place(pointer);
  return json.contains(place) ? json.at(place) : NOTHING;
}

std::string toText(const Json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.dump();
  std::string text;
  for (const auto& item : value) text += (text.empty() ? "" : ",") + toText(item);
  return text;
}

// Not below zero, also when the clocks differ; nothing for what is no time.
std::optional<Duration> durationSince(const std::string& text, WallTime now) {
  auto time = parseRfc3339(text);
  if (!time) return std::nullopt;
  return Duration{std::max<int64_t>(now.unixMs - time->unixMs, 0) * 1'000'000};
}

}  // namespace

Json printableJson(const Json& json) {
  if (json.is_string()) return printable(json.get_ref<const std::string&>());
  Json result = json;
  if (json.is_array()) {
    for (auto& item : result) item = printableJson(Json(item));
  } else if (json.is_object()) {
    result = Json::object();
    for (const auto& [key, value] : json.items()) result[printable(key)] = printableJson(value);
  }
  return result;
}

std::string textAt(const Json& json, const std::string& pointer) {
  return toText(at(json, pointer));
}

uint64_t numberAt(const Json& json, const std::string& pointer) {
  const Json& value = at(json, pointer);
  return value.is_number_unsigned() || value.is_number_integer() ? value.get<uint64_t>() : 0;
}

std::optional<double> fractionAt(const Json& json, const std::string& pointer) {
  const Json& value = at(json, pointer);
  if (!value.is_number()) return std::nullopt;
  return value.get<double>();
}

const Json& listAt(const Json& json, const std::string& pointer) {
  const Json& value = at(json, pointer);
  return value.is_array() ? value : EMPTY_LIST;
}

std::string orDash(const std::string& text) { return text.empty() ? "-" : text; }

std::optional<WallTime> parseRfc3339(std::string_view text) {
  std::tm parts{};
  int millis = 0;
  std::string copy(text);
  int read = std::sscanf(copy.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%3d", &parts.tm_year, &parts.tm_mon,
                         &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &millis);
  if (read < 6 || !copy.ends_with("Z")) return std::nullopt;
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  return WallTime{int64_t{timegm(&parts)} * 1000 + millis};
}

std::string ageAt(const Json& json, const std::string& pointer, WallTime now) {
  auto age = durationSince(textAt(json, pointer), now);
  return age ? toAge(*age) : "-";
}

std::string agoText(Duration age) { return age < 1_s ? "a moment ago" : toAge(age) + " ago"; }

std::string agoAt(const Json& json, const std::string& pointer, WallTime now) {
  auto age = durationSince(textAt(json, pointer), now);
  return age ? agoText(*age) : "-";
}

std::string deploymentName(const std::string& tenant, const std::string& name,
                           std::string_view ownTenant) {
  return tenant.empty() || tenant == ownTenant ? name : tenant + "/" + name;
}

std::string rangesText(const Json& numbers) {
  std::vector<uint64_t> sorted;
  for (const auto& number : numbers) {
    if (number.is_number()) sorted.push_back(number.get<uint64_t>());
  }
  std::ranges::sort(sorted);
  std::string text;
  for (size_t i = 0; i < sorted.size();) {
    size_t end = i;
    while (end + 1 < sorted.size() && sorted[end + 1] == sorted[end] + 1) end++;
    text += (text.empty() ? "" : ",") + std::to_string(sorted[i]);
    if (end > i) text += "-" + std::to_string(sorted[end]);
    i = end + 1;
  }
  return text;
}

}  // namespace muster::cli

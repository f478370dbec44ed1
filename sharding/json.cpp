#include "sharding/json.h"

#include "sharding/text.h"

#include <nlohmann/json.hpp>

#include <set>
#include <vector>

namespace muster::sharding {
namespace {

using nlohmann::json;

// Ends the parse from inside the callback, which can only drop values.
struct LimitBroken {
  std::string text;
};

// Follows the parser and throws LimitBroken at the first key seen twice and at the first level too
// deep.
class Watch {
 public:
  explicit Watch(int depthMax) : depthMax_(depthMax) {}

  void see(int depth, json::parse_event_t event, const json& value) {
    using Event = json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      if (depth >= depthMax_) {
        throw LimitBroken{"nested deeper than " + std::to_string(depthMax_) + " levels"};
      }
      keys_.resize(static_cast<size_t>(depth) + 1);
      keys_.back().clear();
    } else if (event == Event::key) {
      auto key = value.get<std::string>();
      // A key's depth counts the object around it.
      if (!keys_.at(static_cast<size_t>(depth) - 1).insert(key).second) {
        throw LimitBroken{"key " + inQuotes(key) + " appears twice in one object"};
      }
    }
  }

 private:
  int depthMax_;
  std::vector<std::set<std::string>> keys_;  // of the open object of each level
};

}  // namespace

Result<json> parseJsonObject(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytesMax) {
    return Refusal{limits.code, limits.file + ": " + std::to_string(text.size()) +
                                    " bytes, at most " + std::to_string(limits.bytesMax) +
                                    " are read"};
  }
  try {
    Watch watch(limits.depthMax);
    json value = json::parse(text, [&watch](int depth, json::parse_event_t event, json& part) {
      watch.see(depth, event, part);
      return true;
    });
    if (!value.is_object()) {
      return Refusal{limits.code, limits.file + ": holds " + std::string(value.type_name()) +
                                      ", an object is wanted"};
    }
    return value;
  } catch (const LimitBroken& broken) {
    return Refusal{limits.code, limits.file + ": " + broken.text};
  } catch (const json::exception& error) {
    return Refusal{limits.code, limits.file + ": not JSON: " + error.what()};
  }
}

}  // namespace muster::sharding

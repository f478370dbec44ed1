#include "worker/engine/native/serving/json_fields.h"

#include <nlohmann/json.hpp>

namespace muster::worker {

using nlohmann::json;

const json* fieldOf(const json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

std::string textOf(const json& object, const char* name) {
  const json* field = fieldOf(object, name);
  return field != nullptr && field->is_string() ? field->get<std::string>() : "";
}

bool flagOf(const json& object, const char* name, bool otherwise) {
  const json* field = fieldOf(object, name);
  return field != nullptr && field->is_boolean() ? field->get<bool>() : otherwise;
}

const json& listOf(const json& object, const char* name) {
  static const json EMPTY = json::array();
  const json* field = fieldOf(object, name);
  return field != nullptr && field->is_array() ? *field : EMPTY;
}

}  // namespace muster::worker

#include "tests/support/history.h"

#include <kj/debug.h>
#include <nlohmann/json.hpp>

#include <array>
#include <sstream>

namespace muster::testing {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array KINDS = {"read", "write", "compare_and_set", "apply", "scale", "delete"};
constexpr std::array OUTCOMES = {"ok", "not_found", "conflict"};

template <class Enum, size_t COUNT>
Enum fromName(const std::array<const char*, COUNT>& names, const std::string& name) {
  for (size_t i = 0; i < COUNT; i++) {
    if (name == names[i]) return static_cast<Enum>(i);
  }
  KJ_FAIL_REQUIRE("unknown word in a history", name.c_str());
}

Operation fromJson(const Json& json) {
  Operation operation;
  operation.client = json.at("client").get<uint64_t>();
  operation.kind = fromName<OperationKind>(KINDS, json.at("kind").get<std::string>());
  operation.key = json.at("key").get<std::string>();
  operation.argument = json.value("argument", "");
  if (json.contains("expected")) operation.expected = json.at("expected").get<std::string>();
  operation.invokedNs = json.at("invoked_ns").get<int64_t>();
  if (json.contains("returned_ns")) operation.returnedNs = json.at("returned_ns").get<int64_t>();
  operation.outcome = fromName<OperationOutcome>(OUTCOMES, json.value("outcome", "ok"));
  operation.value = json.value("value", "");
  operation.revision = json.value("revision", uint64_t{0});
  bool backwards = operation.returnedNs && *operation.returnedNs < operation.invokedNs;
  KJ_REQUIRE(!backwards, "an operation returned before it was asked");
  return operation;
}

Json toJson(const Operation& operation) {
  Json json;
  json["client"] = operation.client;
  json["kind"] = KINDS.at(static_cast<size_t>(operation.kind));
  json["key"] = operation.key;
  json["argument"] = operation.argument;
  if (operation.expected) json["expected"] = *operation.expected;
  json["invoked_ns"] = operation.invokedNs;
  if (operation.returnedNs) json["returned_ns"] = *operation.returnedNs;
  json["outcome"] = OUTCOMES.at(static_cast<size_t>(operation.outcome));
  json["value"] = operation.value;
  json["revision"] = operation.revision;
  return json;
}

}  // namespace

History historyFromText(std::string_view lines) {
  History history;
  std::istringstream in{std::string(lines)};
  std::string line;
  for (int number = 1; std::getline(in, line); number++) {
    if (line.empty()) continue;
    KJ_CONTEXT("line of a history", number);
    try {
      history.push_back(fromJson(Json::parse(line)));
    } catch (const nlohmann::json::exception& e) {
      KJ_FAIL_REQUIRE("not an operation", e.what(), line.c_str());
    }
  }
  return history;
}

std::string toText(const Operation& operation) { return toJson(operation).dump(); }

std::string toText(const History& history) {
  std::string text;
  for (const Operation& operation : history) text += toText(operation) + "\n";
  return text;
}

}  // namespace muster::testing

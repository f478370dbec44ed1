#include "gateway/completion_request.h"

#include <nlohmann/json.hpp>
#include <simdjson.h>
#include <xxhash.h>

#include <algorithm>

namespace muster::gateway {
namespace {

using simdjson::dom::element;
using simdjson::dom::object;

constexpr size_t MODEL_MAX = 256;

OpenAiError wrong(std::string message, std::string code, std::string param = "") {
  return {400, std::move(message), "invalid_request_error", std::move(code), std::move(param)};
}

// A hash over the first bytes that it is fed.
class PrefixHash {
 public:
  explicit PrefixHash(size_t bytes) : left_(bytes) {}

  void add(std::string_view text) {
    text = text.substr(0, left_);
    left_ -= text.size();
    hash_ = XXH3_64bits_withSeed(text.data(), text.size(), hash_);
  }
  uint64_t value() const { return hash_; }
  bool isFull() const { return left_ == 0; }

 private:
  size_t left_;
  uint64_t hash_ = 0;
};

// A text as it is, anything else in its shortest form.
void addElement(PrefixHash& hash, element value) {
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) {
    hash.add(text);
  } else {
    hash.add(simdjson::minify(value));
  }
}

void addMessages(PrefixHash& hash, element value) {
  simdjson::dom::array messages;
  if (value.get(messages) != simdjson::SUCCESS) return addElement(hash, value);
  for (element message : messages) {
    std::string_view role;
    element content;
    if (message["role"].get(role) != simdjson::SUCCESS) continue;
    hash.add(role);
    if (message["content"].get(content) == simdjson::SUCCESS) addElement(hash, content);
    if (role == "user" || hash.isFull()) return;
  }
}

uint64_t prefixOf(object body, PrefixRules rules) {
  PrefixHash hash(rules.bytes);
  element value;
  if (body["messages"].get(value) == simdjson::SUCCESS) {
    addMessages(hash, value);
  } else if (body["prompt"].get(value) == simdjson::SUCCESS ||
             body["input"].get(value) == simdjson::SUCCESS) {
    addElement(hash, value);
  }
  return hash.value();
}

}  // namespace

struct CompletionReader::Parser {
  simdjson::dom::parser parser;
};

CompletionReader::CompletionReader(PrefixRules rules)
    : rules_(rules), parser_(std::make_unique<Parser>()) {}
CompletionReader::~CompletionReader() = default;

std::variant<CompletionRequest, OpenAiError> CompletionReader::read(const std::string& body) {
  element root;
  if (auto error = parser_->parser.parse(body).get(root)) {
    return wrong(std::string("the body is not valid JSON: ") + simdjson::error_message(error),
                 "invalid_json");
  }
  object fields;
  if (root.get(fields) != simdjson::SUCCESS) {
    return wrong("the body must be a JSON object", "invalid_json");
  }
  CompletionRequest request;
  size_t models = 0;
  for (auto [key, value] : fields) {
    bool isStream = false;
    if (key == "stream" && value.get(isStream) == simdjson::SUCCESS) request.stream = isStream;
    if (key != "model") continue;
    std::string_view model;
    if (++models > 1) return wrong("\"model\" is given twice", "duplicate_key", "model");
    if (value.get(model) != simdjson::SUCCESS || model.empty()) {
      return wrong("\"model\" must be a text", "invalid_type", "model");
    }
    if (model.size() > MODEL_MAX) return wrong("\"model\" is too long", "invalid_value", "model");
    request.model = model;
  }
  if (models == 0) return wrong("\"model\" is missing", "missing_field", "model");
  request.prefix = prefixOf(fields, rules_);
  return request;
}

std::optional<std::string> withModel(const std::string& body, std::string_view model) {
  simdjson::padded_string padded(body);
  simdjson::ondemand::parser parser;
  simdjson::ondemand::document document;
  simdjson::ondemand::value value;
  if (parser.iterate(padded).get(document) != simdjson::SUCCESS) return std::nullopt;
  if (document["model"].get(value) != simdjson::SUCCESS) return std::nullopt;
  std::string_view token = value.raw_json_token();
  // The token goes on to the next one: spaces are left where they were.
  size_t end = token.find_last_of('"') + 1;
  auto at = static_cast<size_t>(token.data() - padded.data());
  return body.substr(0, at) + nlohmann::json(model).dump() + body.substr(at + end);
}

}  // namespace muster::gateway

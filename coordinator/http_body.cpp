#include "coordinator/http_body.h"

#include "coordinator/core/hints.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>

namespace muster::coordinator {
namespace {

bool fits(const Json& value, BodyField::Kind kind) {
  switch (kind) {
    case BodyField::TEXT:
      return value.is_string();
    case BodyField::NUMBER:
      return value.is_number_unsigned() && value.get<uint64_t>() <= UINT32_MAX;
    case BodyField::FLAG:
      return value.is_boolean();
  }
  return false;
}

const char* wanted(BodyField::Kind kind) {
  if (kind == BodyField::TEXT) return "a text";
  return kind == BodyField::NUMBER ? "a whole number, 0 or more" : "true or false";
}

std::optional<Refusal> refuseFields(const Json& body, const std::vector<BodyField>& fields) {
  std::vector<std::string> known;
  for (const BodyField& field : fields) known.emplace_back(field.name);
  for (const auto& [name, value] : body.items()) {
    auto field = std::ranges::find(known, name);
    if (field == known.end()) {
      return Refusal{RefusalCode::UNKNOWN_FIELD,
                     "the body has an unknown field \"" + name + "\"" + hint(name, known)};
    }
    BodyField::Kind kind = fields[static_cast<size_t>(field - known.begin())].kind;
    if (!fits(value, kind)) {
      return Refusal{RefusalCode::INVALID_VALUE,
                     name + " is " + value.dump() + ", it must be " + wanted(kind)};
    }
  }
  for (const BodyField& field : fields) {
    if (!field.isRequired || body.contains(field.name)) continue;
    return Refusal{RefusalCode::MISSING_FIELD,
                   std::string("the body lacks \"") + field.name + "\""};
  }
  return std::nullopt;
}

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> words;
  for (;;) {
    size_t slash = path.find('/');
    words.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return words;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace

Result<Json> readBody(const std::string& body, const std::vector<BodyField>& fields) {
  Json read = body.empty() ? Json::object() : Json::parse(body, nullptr, false);
  if (!read.is_object()) {
    return Refusal{RefusalCode::INVALID_SYNTAX, "the body must be a JSON object"};
  }
  if (auto refusal = refuseFields(read, fields)) return *refusal;
  return read;
}

Result<std::string> planIdIn(const std::string& body) {
  Json read = Json::parse(body, nullptr, false);
  if (!read.is_object() || !read.contains("plan")) return std::string();
  if (auto refusal = refuseFields(read, {{"plan", BodyField::TEXT, true}})) return *refusal;
  return read["plan"].get<std::string>();
}

Result<bool> flagIn(const std::map<std::string, std::string>& query, const std::string& name) {
  auto found = query.find(name);
  if (found == query.end() || found->second == "false") return false;
  if (found->second == "true") return true;
  return Refusal{RefusalCode::INVALID_VALUE,
                 name + " is \"" + found->second + "\", it must be true or false"};
}

Result<Revision> revisionIn(const std::string& text) {
  std::string_view digits = text;
  if (digits.size() >= 2 && digits.front() == '"' && digits.back() == '"') {
    digits = digits.substr(1, digits.size() - 2);
  }
  uint64_t value = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  bool isNumber = error == std::errc{} && end == digits.data() + digits.size() && value > 0;
  if (isNumber) return Revision{value};
  return Refusal{RefusalCode::INVALID_VALUE,
                 "If-Match is " + text + ", it must be a revision, as ETag gives it"};
}

std::optional<std::vector<std::string>> matchPath(const std::string& pattern,
                                                  const std::string& path) {
  auto wantedWords = split(pattern);
  auto words = split(path);
  if (words.size() != wantedWords.size()) return std::nullopt;
  std::vector<std::string> found;
  for (size_t i = 0; i < words.size(); i++) {
    if (wantedWords[i] == "{}" && !words[i].empty()) {
      found.emplace_back(words[i]);
    } else if (wantedWords[i] != words[i]) {
      return std::nullopt;
    }
  }
  return found;
}

}  // namespace muster::coordinator

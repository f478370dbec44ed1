// What config.h offers that needs no TOML: access to values, names of variables, documentation.
#include "base/config.h"

#include <kj/debug.h>

#include <algorithm>
#include <unistd.h>

namespace muster {
namespace {

// The value as T; the wrong type is a bug of the caller, who wrote the schema as well.
template <class T, class Variant>
const T& as(const Variant& content, std::string_view key) {
  const T* value = std::get_if<T>(&content);
  KJ_REQUIRE(value != nullptr, "configuration key asked by a type that it has not",
             std::string(key).c_str());
  return *value;
}

std::string_view typeName(ConfigType type) {
  switch (type) {
    case ConfigType::STRING:
      return "string";
    case ConfigType::INTEGER:
      return "integer";
    case ConfigType::BOOLEAN:
      return "boolean";
    case ConfigType::DURATION:
      return "duration";
    case ConfigType::BYTES:
      return "size";
    case ConfigType::STRING_LIST:
      return "list of strings";
    case ConfigType::TABLE_LIST:
      return "list of tables";
  }
  KJ_UNREACHABLE;
}

std::string shownDefault(const ConfigKey& key) {
  if (key.type == ConfigType::TABLE_LIST) return "none";
  if (!key.fallback) return "required";
  if (key.type == ConfigType::STRING_LIST) {
    if (key.fallback->empty()) return "`[]`";
    std::string list = *key.fallback;
    for (size_t at = 0; (at = list.find(',', at)) != std::string::npos; at += 4) {
      list.replace(at, 1, "\", \"");
    }
    return "`[\"" + list + "\"]`";
  }
  bool bare = key.type == ConfigType::INTEGER || key.type == ConfigType::BOOLEAN;
  return bare ? "`" + *key.fallback + "`" : "`\"" + *key.fallback + "\"`";
}

// A pipe would end the cell.
std::string cell(std::string text) {
  for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
    text.insert(at, "\\");
  std::ranges::replace(text, '\n', ' ');
  return text;
}

void addRows(const std::vector<ConfigKey>& keys, const std::string& prefix, std::string& out) {
  for (const auto& key : keys) {
    std::string doc = key.doc;
    if (!key.choices.empty()) {
      doc += " One of";
      for (const auto& choice : key.choices) {
        doc += (&choice == &key.choices.front() ? " `" : ", `") + choice + "`";
      }
      doc += ".";
    }
    out += "| `" + prefix + key.name + "` | " + std::string(typeName(key.type)) + " | " +
           cell(shownDefault(key)) + " | " + cell(doc) + " |\n";
    addRows(key.columns, prefix + key.name + "[].", out);
  }
}

}  // namespace

ConfigKey configKey(std::string name, ConfigType type, std::optional<std::string> fallback,
                    std::string doc) {
  return {.name = std::move(name),
          .type = type,
          .fallback = std::move(fallback),
          .doc = std::move(doc)};
}

ConfigKey configChoice(std::string name, std::string fallback, std::vector<std::string> choices,
                       std::string doc) {
  return {.name = std::move(name),
          .fallback = std::move(fallback),
          .doc = std::move(doc),
          .choices = std::move(choices)};
}

const ConfigTable::Value& ConfigTable::at(std::string_view key) const {
  auto found = values_.find(key);
  KJ_REQUIRE(found != values_.end(), "configuration key asked that the schema lacks",
             std::string(key).c_str());
  return found->second;
}

const std::string& ConfigTable::text(std::string_view key) const {
  return as<std::string>(at(key).content, key);
}
int64_t ConfigTable::integer(std::string_view key) const {
  return as<int64_t>(at(key).content, key);
}
bool ConfigTable::boolean(std::string_view key) const { return as<bool>(at(key).content, key); }
Duration ConfigTable::duration(std::string_view key) const {
  return as<Duration>(at(key).content, key);
}
Bytes ConfigTable::bytes(std::string_view key) const { return as<Bytes>(at(key).content, key); }
const std::vector<std::string>& ConfigTable::list(std::string_view key) const {
  return as<std::vector<std::string>>(at(key).content, key);
}
const std::vector<ConfigTable>& ConfigTable::tables(std::string_view key) const {
  return at(key).tables;
}
ConfigOrigin ConfigTable::origin(std::string_view key) const { return at(key).origin; }
const std::string& ConfigTable::source(std::string_view key) const { return at(key).source; }

std::map<std::string, std::string> musterEnvironment() {
  constexpr std::string_view PREFIX = "MUSTER_";
  std::map<std::string, std::string> found;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string_view text = *entry;
    auto equals = text.find('=');
    if (!text.starts_with(PREFIX) || equals == std::string_view::npos) continue;
    found.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return found;
}

std::string environmentName(std::string_view key) {
  std::string name = "MUSTER_";
  for (char c : key) {
    bool lower = c >= 'a' && c <= 'z';
    name += lower ? static_cast<char>(c - 'a' + 'A') : c == '.' || c == '-' ? '_' : c;
  }
  return name;
}

std::string toMarkdown(const ConfigSchema& schema) {
  std::string out = "## " + schema.file + "\n\n";
  if (!schema.intro.empty()) out += schema.intro + "\n\n";
  out += "| key | type | default | meaning |\n| --- | --- | --- | --- |\n";
  addRows(schema.keys, "", out);
  return out;
}

}  // namespace muster

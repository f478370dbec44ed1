// The only file that knows the TOML library.
#include "base/config.h"

#include "base/did_you_mean.h"
#include "base/files.h"

#include <kj/debug.h>
#include <toml++/toml.h>

#include <algorithm>
#include <charconv>

namespace muster {
namespace {

constexpr Bytes FILE_LIMIT = 1_MiB;

using Content = std::variant<std::string, int64_t, bool, Duration, Bytes, std::vector<std::string>>;

std::string_view wanted(ConfigType type) {
  switch (type) {
    case ConfigType::STRING:
      return "a string such as \"text\"";
    case ConfigType::INTEGER:
      return "a whole number such as 3";
    case ConfigType::BOOLEAN:
      return "true or false";
    case ConfigType::DURATION:
      return "a duration such as \"30s\"";
    case ConfigType::BYTES:
      return "a size such as \"4GiB\"";
    case ConfigType::STRING_LIST:
      return "a list of strings such as [\"a\", \"b\"]";
    case ConfigType::TABLE_LIST:
      return "a list of tables";
  }
  KJ_UNREACHABLE;
}

std::string join(const std::vector<std::string>& words, const char* separator) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : separator) + word;
  return text;
}

// A value that was read, or what is wrong with it.
struct Parsed {
  std::optional<Content> content;
  std::string problem;
  std::string hint;
};

Parsed wrongType(const ConfigKey& key, const std::string& seen) {
  return {std::nullopt, key.name + " is " + seen + ", wanted " + std::string(wanted(key.type)), ""};
}

Parsed checkChoices(const ConfigKey& key, Content content, const std::vector<std::string>& words) {
  for (const auto& word : words) {
    if (key.choices.empty() || std::ranges::find(key.choices, word) != key.choices.end()) continue;
    return {std::nullopt,
            key.name + " is \"" + word + "\", wanted one of " + join(key.choices, ", "),
            didYouMean(word, key.choices)};
  }
  return {std::move(content), "", ""};
}

Parsed checkRange(const ConfigKey& key, int64_t value) {
  if ((!key.least || value >= *key.least) && (!key.most || value <= *key.most))
    return {value, "", ""};
  std::string range = key.least ? "at least " + std::to_string(*key.least) : "";
  if (key.most) range += (range.empty() ? "at most " : " and at most ") + std::to_string(*key.most);
  return {std::nullopt, key.name + " is " + std::to_string(value) + ", wanted " + range, ""};
}

Parsed parseQuantity(const ConfigKey& key, const std::string& text) {
  if (key.type == ConfigType::DURATION) {
    if (auto duration = parseDuration(text)) return {*duration, "", ""};
  } else if (auto bytes = parseBytes(text)) {
    return {*bytes, "", ""};
  }
  return wrongType(key, "\"" + text + "\"");
}

std::vector<std::string> splitList(const std::string& text) {
  std::vector<std::string> entries;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = std::min(text.find(',', begin), text.size());
    entries.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return entries;
}

// A value as a variable, a flag or the schema's default says it.
Parsed parseText(const ConfigKey& key, const std::string& text) {
  switch (key.type) {
    case ConfigType::STRING:
      return checkChoices(key, text, {text});
    case ConfigType::INTEGER: {
      int64_t value = 0;
      const char* end = text.data() + text.size();
      auto [rest, error] = std::from_chars(text.data(), end, value);
      if (text.empty() || error != std::errc{} || rest != end)
        return wrongType(key, "\"" + text + "\"");
      return checkRange(key, value);
    }
    case ConfigType::BOOLEAN:
      if (text == "true" || text == "false") return {text == "true", "", ""};
      return wrongType(key, "\"" + text + "\"");
    case ConfigType::DURATION:
    case ConfigType::BYTES:
      return parseQuantity(key, text);
    case ConfigType::STRING_LIST: {
      auto entries = splitList(text);
      return checkChoices(key, entries, entries);
    }
    case ConfigType::TABLE_LIST:
      return {std::nullopt, key.name + " can be set in the file only", ""};
  }
  KJ_UNREACHABLE;
}

std::string seen(const toml::node& node) {
  if (const auto* text = node.as_string()) return "\"" + text->get() + "\"";
  if (const auto* whole = node.as_integer()) return std::to_string(whole->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  if (node.is_table()) return "a table";
  if (node.is_array()) return "a list";
  return node.is_floating_point() ? "a fraction" : "a date or time";
}

Parsed parseList(const ConfigKey& key, const toml::array& array) {
  std::vector<std::string> entries;
  for (const auto& entry : array) {
    const auto* text = entry.as_string();
    if (text == nullptr) return wrongType(key, "a list with " + seen(entry));
    entries.push_back(text->get());
  }
  return checkChoices(key, entries, entries);
}

// A value as the file says it.
Parsed parseNode(const ConfigKey& key, const toml::node& node) {
  const auto* text = node.as_string();
  if (key.type == ConfigType::STRING && text != nullptr) {
    return checkChoices(key, text->get(), {text->get()});
  }
  if (key.type == ConfigType::INTEGER && node.is_integer()) {
    return checkRange(key, node.as_integer()->get());
  }
  if (key.type == ConfigType::BOOLEAN && node.is_boolean()) {
    return {node.as_boolean()->get(), "", ""};
  }
  bool isQuantity = key.type == ConfigType::DURATION || key.type == ConfigType::BYTES;
  if (isQuantity && text != nullptr) return parseQuantity(key, text->get());
  if (key.type == ConfigType::STRING_LIST && node.is_array())
    return parseList(key, *node.as_array());
  return wrongType(key, seen(node));
}

std::string lineOf(const std::string& text, uint32_t line) {
  size_t begin = 0;
  for (uint32_t i = 1; i < line && begin != std::string::npos; ++i) {
    begin = text.find('\n', begin);
    if (begin != std::string::npos) ++begin;
  }
  if (line == 0 || begin == std::string::npos) return "";
  return text.substr(begin, text.find('\n', begin) - begin);
}

}  // namespace

// Reads one schema; holds what has been found and what was wrong so far.
class ConfigReader {
 public:
  explicit ConfigReader(const ConfigSchema& schema) : schema_(schema) {}

  Result<ConfigTable> read(const ConfigSources& sources) {
    addTexts(sources.flags, ConfigOrigin::FLAG);
    if (!errors_.empty()) return refuse("flags");
    addTexts(sources.environment, ConfigOrigin::ENVIRONMENT);
    if (!errors_.empty()) return refuse("environment");
    for (const auto& file : sources.files) {
      addFile(file);
      if (!errors_.empty()) return refuse(file.path);
    }
    addDefaults(schema_.keys, table_, "");
    if (!errors_.empty())
      return refuse(sources.files.empty() ? schema_.file : sources.files[0].path);
    return std::move(table_);
  }

 private:
  Refusal refuse(const std::string& where) {
    std::string text = where + ": " + errors_.front().message;
    if (errors_.size() > 1) text += " (and " + std::to_string(errors_.size() - 1) + " more)";
    return Refusal{errors_.front().code, std::move(text), std::move(errors_), {}};
  }

  const ConfigKey* find(const std::vector<ConfigKey>& keys, const std::string& name) const {
    for (const auto& key : keys) {
      if (key.name == name) return &key;
    }
    return nullptr;
  }

  void addTexts(const std::map<std::string, std::string>& texts, ConfigOrigin origin) {
    bool flags = origin == ConfigOrigin::FLAG;
    for (const auto& key : schema_.keys) {
      auto given = texts.find(flags ? key.name : environmentName(key.name));
      if (given == texts.end()) continue;
      std::string source = (flags ? "--" : "") + given->first;
      store(table_, key, parseText(key, given->second), origin, source, {}, key.name);
    }
    for (const auto& [name, text] : texts) {
      KJ_REQUIRE(!flags || find(schema_.keys, name) != nullptr, "flag without a key", name.c_str());
    }
  }

  void addFile(const ConfigFile& file) {
    file_ = &file;
    try {
      toml::table root = toml::parse(file.text, file.path);
      addTable(schema_.keys, root, "", "", table_);
    } catch (const toml::parse_error& error) {
      // The library has one error type; its wording is the only sign of a key given twice.
      std::string what(error.description());
      bool duplicate = what.find("redefine") != std::string::npos;
      fail(duplicate ? RefusalCode::DUPLICATE_KEY : RefusalCode::INVALID_SYNTAX, "", what,
           duplicate ? "remove one of the two" : "", error.source().begin);
    }
    file_ = nullptr;
  }

  // `prefix` is the dotted name of this table among `keys`, `shown` the same for messages.
  void addTable(const std::vector<ConfigKey>& keys, const toml::table& table,
                const std::string& prefix, const std::string& shown, ConfigTable& into) {
    for (const auto& [tomlKey, node] : table) {
      std::string name = prefix + std::string(tomlKey.str());
      const ConfigKey* key = find(keys, name);
      if (key != nullptr && key->type == ConfigType::TABLE_LIST) {
        addTableList(*key, node, shown + std::string(tomlKey.str()), into);
      } else if (key != nullptr) {
        std::string source = file_->path + ":" + std::to_string(tomlKey.source().begin.line);
        store(into, *key, parseNode(*key, node), ConfigOrigin::FILE, source, node.source().begin,
              shown + std::string(tomlKey.str()));
      } else if (node.is_table() && hasPrefix(keys, name + ".")) {
        addTable(keys, *node.as_table(), name + ".", shown + std::string(tomlKey.str()) + ".",
                 into);
      } else {
        unknown(keys, name, shown + std::string(tomlKey.str()), tomlKey.source().begin);
      }
    }
  }

  static bool hasPrefix(const std::vector<ConfigKey>& keys, const std::string& prefix) {
    return std::ranges::any_of(keys, [&](const auto& key) { return key.name.starts_with(prefix); });
  }

  void unknown(const std::vector<ConfigKey>& keys, const std::string& name,
               const std::string& shown, toml::source_position at) {
    if (schema_.others == OtherKeys::IGNORED) return;
    std::vector<std::string> known;
    for (const auto& key : keys) {
      known.push_back(key.name);
      // A misspelt section is compared with sections.
      for (size_t dot = key.name.find('.'); dot != std::string::npos;
           dot = key.name.find('.', dot + 1)) {
        known.push_back(key.name.substr(0, dot));
      }
    }
    fail(RefusalCode::UNKNOWN_FIELD, shown, "unknown key \"" + shown + "\"",
         didYouMean(name, known), at);
  }

  void addTableList(const ConfigKey& key, const toml::node& node, const std::string& shown,
                    ConfigTable& into) {
    const auto* array = node.as_array();
    if (array == nullptr ||
        !std::ranges::all_of(*array, [](const auto& e) { return e.is_table(); })) {
      fail(RefusalCode::INVALID_VALUE, shown, wrongType(key, seen(node)).problem, "",
           node.source().begin);
      return;
    }
    if (into.values_.contains(key.name)) return;
    auto& value = into.values_[key.name];
    value.origin = ConfigOrigin::FILE;
    value.source = file_->path + ":" + std::to_string(node.source().begin.line);
    for (size_t i = 0; i < array->size(); ++i) {
      std::string entry = shown + "[" + std::to_string(i) + "].";
      addTable(key.columns, *(*array)[i].as_table(), "", entry, value.tables.emplace_back());
      addDefaults(key.columns, value.tables.back(), entry, (*array)[i].source().begin);
    }
  }

  // A value of a stronger origin that is already there stays.
  void store(ConfigTable& table, const ConfigKey& key, Parsed parsed, ConfigOrigin origin,
             const std::string& source, toml::source_position at, const std::string& shown) {
    if (!parsed.content) {
      bool inFile = origin == ConfigOrigin::FILE;
      std::string message = (inFile ? "" : source + ": ") + parsed.problem;
      fail(RefusalCode::INVALID_VALUE, shown, message, parsed.hint, at);
      return;
    }
    ConfigTable::Value value{std::move(*parsed.content), {}, origin, source};
    table.values_.try_emplace(key.name, std::move(value));
  }

  void addDefaults(const std::vector<ConfigKey>& keys, ConfigTable& table, const std::string& shown,
                   toml::source_position at = {}) {
    for (const auto& key : keys) {
      if (table.values_.contains(key.name)) continue;
      if (key.type == ConfigType::TABLE_LIST) {
        table.values_[key.name].source = "default";
      } else if (key.fallback) {
        Parsed parsed = parseText(key, *key.fallback);
        KJ_REQUIRE(parsed.content.has_value(), "the schema's own default is wrong",
                   key.name.c_str(), parsed.problem.c_str());
        store(table, key, std::move(parsed), ConfigOrigin::DEFAULT, "default", {},
              shown + key.name);
      } else {
        fail(RefusalCode::MISSING_FIELD, shown + key.name,
             "\"" + shown + key.name + "\" is missing: " + std::string(wanted(key.type)), key.doc,
             at);
      }
    }
  }

  void fail(RefusalCode code, const std::string& path, std::string message, std::string hint,
            toml::source_position at) {
    std::string line = file_ != nullptr ? lineOf(file_->text, at.line) : "";
    errors_.push_back({code, path, at.line, at.column, std::move(message), std::move(hint), line});
  }

  const ConfigSchema& schema_;
  const ConfigFile* file_ = nullptr;
  ConfigTable table_;
  std::vector<InputError> errors_;
};

Result<ConfigTable> readConfig(const ConfigSchema& schema, const ConfigSources& sources) {
  return ConfigReader(schema).read(sources);
}

Result<ConfigTable> loadConfig(const ConfigSchema& schema, const std::string& path,
                               ConfigPresence presence,
                               const std::map<std::string, std::string>& flags) {
  ConfigSources sources{{}, musterEnvironment(), flags};
  auto text = readFile(path, FILE_LIMIT);
  bool absent = !text && text.refusal().code == RefusalCode::NOT_FOUND;
  if (!text && !(absent && presence == ConfigPresence::OPTIONAL)) return text.refusal();
  if (text) sources.files.push_back({path, *text});
  return readConfig(schema, sources);
}

}  // namespace muster

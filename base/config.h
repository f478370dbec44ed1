// Typed TOML: a schema of keys with types, defaults and documentation; values read strictly from
// files, MUSTER_* variables and flags, each knowing where it came from.
#pragma once

#include "base/result.h"
#include "base/units.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace muster {

enum class ConfigType { STRING, INTEGER, BOOLEAN, DURATION, BYTES, STRING_LIST, TABLE_LIST };

// One key. In TOML a duration is "30s" and a size "4GiB", both strings.
struct ConfigKey {
  std::string name;  // dotted: "log.format" is `format` in [log]; its variable is MUSTER_LOG_FORMAT
  ConfigType type = ConfigType::STRING;
  // As a flag or variable would say it; the entries of a list are separated by commas. Nothing
  // means that the key must be given. TABLE_LIST is empty unless given.
  std::optional<std::string> fallback = std::nullopt;
  std::string doc;  // one or two sentences: what it does
  std::vector<std::string> choices =
      {};  // of a STRING (or each entry of a STRING_LIST); empty: any
  std::optional<int64_t> least = std::nullopt;  // of an INTEGER
  std::optional<int64_t> most = std::nullopt;
  std::vector<ConfigKey> columns = {};  // of a TABLE_LIST: the keys of each table; plain types only
};

// For writing schemas: a key of any type, and a STRING of one of `choices`.
ConfigKey configKey(std::string name, ConfigType type, std::optional<std::string> fallback,
                    std::string doc);
ConfigKey configChoice(std::string name, std::string fallback, std::vector<std::string> choices,
                       std::string doc);

// What becomes of keys of a file that the schema lacks. Who owns the file refuses them; who only
// looks at a few keys of somebody else's file ignores the others.
enum class OtherKeys { REFUSED, IGNORED };

struct ConfigSchema {
  std::string file;   // "coordinator.toml"; also the heading of the documentation
  std::string intro;  // Markdown paragraph above the table
  std::vector<ConfigKey> keys;
  OtherKeys others = OtherKeys::REFUSED;
};

// Later enumerators win over earlier ones.
enum class ConfigOrigin { DEFAULT, FILE, ENVIRONMENT, FLAG };

struct ConfigFile {
  std::string path;  // for messages
  std::string text;
};

struct ConfigSources {
  std::vector<ConfigFile> files = {};  // first one wins, for instance user file, /etc file
  std::map<std::string, std::string> environment =
      {};  // MUSTER_* variables; ones without a key are left alone
  std::map<std::string, std::string> flags = {};  // by key name
};

// The values of one schema. Asking for a key that the schema lacks, or by another type, is a bug
// and throws.
class ConfigTable {
 public:
  const std::string& text(std::string_view key) const;
  int64_t integer(std::string_view key) const;
  bool boolean(std::string_view key) const;
  Duration duration(std::string_view key) const;
  Bytes bytes(std::string_view key) const;
  const std::vector<std::string>& list(std::string_view key) const;
  const std::vector<ConfigTable>& tables(std::string_view key) const;

  ConfigOrigin origin(std::string_view key) const;
  // Where the value came from, for people: "default", "/etc/muster/worker.toml:3",
  // "MUSTER_LOG_FORMAT",
  // "--log.format".
  const std::string& source(std::string_view key) const;
  bool isSet(std::string_view key) const { return origin(key) != ConfigOrigin::DEFAULT; }

 private:
  friend class ConfigReader;
  struct Value {
    std::variant<std::string, int64_t, bool, Duration, Bytes, std::vector<std::string>> content;
    std::vector<ConfigTable> tables;
    ConfigOrigin origin = ConfigOrigin::DEFAULT;
    std::string source;
  };
  const Value& at(std::string_view key) const;
  std::map<std::string, Value, std::less<>> values_;
};

// Reads all sources by the order flag, variable, files, default. Refuses with every error of the
// first wrong source at once: INVALID_SYNTAX, DUPLICATE_KEY, UNKNOWN_FIELD (with a suggestion),
// INVALID_VALUE, MISSING_FIELD; line and column for those of a file.
Result<ConfigTable> readConfig(const ConfigSchema& schema, const ConfigSources& sources);

// readConfig() of one file on disk plus the process's variables. A file that is not there counts as
// empty only when `path` was not asked for by name.
enum class ConfigPresence { REQUIRED, OPTIONAL };
Result<ConfigTable> loadConfig(const ConfigSchema& schema, const std::string& path,
                               ConfigPresence presence,
                               const std::map<std::string, std::string>& flags = {});

// The MUSTER_* variables of this process.
std::map<std::string, std::string> musterEnvironment();

// "MUSTER_LOG_FORMAT" for "log.format".
std::string environmentName(std::string_view key);

// The Markdown table of a schema, as docs/CONFIGURATION.md shows it.
std::string toMarkdown(const ConfigSchema& schema);

}  // namespace muster

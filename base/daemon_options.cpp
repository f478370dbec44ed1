#include "base/daemon_options.h"

#include <algorithm>
#include <optional>

namespace muster {
namespace {

constexpr const char* CONFIG = "config";

bool holds(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// One "--NAME VALUE" or "--NAME=VALUE" of a command line.
struct Word {
  std::string name;
  std::optional<std::string> value;
};

Word splitWord(const std::string& word) {
  auto equals = word.find('=');
  if (equals == std::string::npos) return {word.substr(2), std::nullopt};
  return {word.substr(2, equals - 2), word.substr(equals + 1)};
}

bool takesValue(const DaemonSyntax& syntax, const std::string& name) {
  const auto& keys = syntax.schema.keys;
  return name == CONFIG || holds(syntax.actionsWithArgument, name) || holds(syntax.values, name) ||
         std::any_of(keys.begin(), keys.end(), [&](const ConfigKey& key) {
           return key.name == name && key.type != ConfigType::TABLE_LIST;
         });
}

void take(DaemonOptions& options, const DaemonSyntax& syntax, const Word& word) {
  if (word.name == CONFIG) {
    options.configPath = *word.value;
  } else if (holds(syntax.actionsWithArgument, word.name)) {
    options.action = word.name;
    options.argument = *word.value;
  } else if (holds(syntax.values, word.name)) {
    options.values[word.name] = *word.value;
  } else {
    options.flags[word.name] = *word.value;
  }
}

}  // namespace

Result<DaemonOptions> parseDaemonOptions(const DaemonSyntax& syntax,
                                         const std::vector<std::string>& arguments) {
  auto wrong = [&](const std::string& text) {
    return Refusal{
        .code = RefusalCode::INVALID_VALUE, .text = text, .fixes = {syntax.program + " --help"}};
  };
  DaemonOptions options;
  for (size_t i = 0; i < arguments.size(); i++) {
    if (!arguments[i].starts_with("--")) return wrong("unknown word \"" + arguments[i] + "\"");
    Word word = splitWord(arguments[i]);
    if (holds(syntax.actions, word.name) && !word.value) {
      options.action = word.name;
      continue;
    }
    if (!takesValue(syntax, word.name)) return wrong("unknown flag \"" + arguments[i] + "\"");
    if (!word.value && i + 1 < arguments.size()) word.value = arguments[++i];
    if (!word.value) return wrong("flag --" + word.name + " needs a value");
    take(options, syntax, word);
  }
  return options;
}

}  // namespace muster

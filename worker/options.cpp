#include "worker/options.h"

#include "worker/config.h"

#include <algorithm>
#include <optional>

namespace muster::worker {
namespace {

std::vector<std::string> valueFlags() {
  std::vector<std::string> names = {"config"};
  for (const ConfigKey& key : workerSchema().keys) {
    if (key.type != ConfigType::TABLE_LIST) names.push_back(key.name);
  }
  return names;
}

std::optional<Action> actionOf(const std::string& name) {
  if (name == "check-config") return Action::CHECK_CONFIG;
  if (name == "stop-ranks") return Action::STOP_RANKS;
  if (name == "version") return Action::VERSION;
  if (name == "help") return Action::HELP;
  return std::nullopt;
}

Refusal wrong(const std::string& text) {
  return {.code = RefusalCode::INVALID_VALUE, .text = text, .fixes = {"muster-worker --help"}};
}

// One "--NAME VALUE" or "--NAME=VALUE" of a command line.
struct Word {
  std::string name;
  std::optional<std::string> value;
};

Result<Word> splitWord(const std::string& word) {
  if (!word.starts_with("--")) return wrong("unknown word \"" + word + "\"");
  auto equals = word.find('=');
  if (equals == std::string::npos) return Word{word.substr(2), std::nullopt};
  return Word{word.substr(2, equals - 2), word.substr(equals + 1)};
}

}  // namespace

Result<Options> parseOptions(const std::vector<std::string>& arguments) {
  Options options;
  auto known = valueFlags();
  for (size_t i = 0; i < arguments.size(); i++) {
    auto word = splitWord(arguments[i]);
    if (!word) return word.refusal();
    if (auto action = actionOf(word->name); action && !word->value) {
      options.action = *action;
      continue;
    }
    if (std::find(known.begin(), known.end(), word->name) == known.end()) {
      return wrong("unknown flag \"" + arguments[i] + "\"");
    }
    if (!word->value && i + 1 < arguments.size()) word->value = arguments[++i];
    if (!word->value) return wrong("flag --" + word->name + " needs a value");
    (word->name == "config" ? options.configPath : options.flags[word->name]) = *word->value;
  }
  return options;
}

std::string usage() {
  return "muster-worker [--config FILE] [--KEY VALUE ...]   serve (FILE: "
         "/etc/muster/worker.toml)\n"
         "muster-worker [--config FILE] --check-config      say what is wrong with FILE\n"
         "muster-worker [--config FILE] --stop-ranks        stop the ranks that a stopped worker "
         "left running\n"
         "muster-worker --version | --help\n";
}

}  // namespace muster::worker

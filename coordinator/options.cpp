#include "coordinator/options.h"

#include "coordinator/config.h"

#include <algorithm>
#include <optional>

namespace muster::coordinator {
namespace {

bool isConfigKey(const std::string& name) {
  const auto& keys = coordinatorSchema().keys;
  return std::any_of(keys.begin(), keys.end(), [&](const ConfigKey& key) {
    return key.name == name && key.type != ConfigType::TABLE_LIST;
  });
}

std::optional<Action> actionOf(const std::string& name) {
  if (name == "check-config") return Action::CHECK_CONFIG;
  if (name == "bootstrap") return Action::BOOTSTRAP;
  if (name == "version") return Action::VERSION;
  if (name == "help") return Action::HELP;
  return std::nullopt;
}

bool takesValue(const std::string& name) {
  return name == "config" || name == "print-store" || isConfigKey(name);
}

Refusal wrong(const std::string& text) {
  return Refusal{
      .code = RefusalCode::INVALID_VALUE, .text = text, .fixes = {"muster-coordinator --help"}};
}

void take(Options& options, const std::string& name, const std::string& value) {
  if (name == "config") {
    options.configPath = value;
  } else if (name == "print-store") {
    options.action = Action::PRINT_STORE;
    options.storeDirectory = value;
  } else {
    options.flags[name] = value;
  }
}

}  // namespace

Result<Options> parseOptions(const std::vector<std::string>& arguments) {
  Options options;
  for (size_t i = 0; i < arguments.size(); i++) {
    const std::string& word = arguments[i];
    if (!word.starts_with("--")) return wrong("unknown word \"" + word + "\"");
    size_t equals = word.find('=');
    std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    if (auto action = actionOf(name); action && equals == std::string::npos) {
      options.action = *action;
      continue;
    }
    if (!takesValue(name)) return wrong("unknown flag \"" + word + "\"");
    if (equals != std::string::npos) {
      take(options, name, word.substr(equals + 1));
    } else if (i + 1 < arguments.size()) {
      take(options, name, arguments[++i]);
    } else {
      return wrong("flag --" + name + " needs a value");
    }
  }
  return options;
}

std::string usage() {
  return "muster-coordinator [--config FILE] [--KEY VALUE ...]   serve (FILE: "
         "/etc/muster/coordinator.toml)\n"
         "muster-coordinator [--config FILE] --check-config      say what is wrong with FILE\n"
         "muster-coordinator [--config FILE] --bootstrap         make the cluster's tree in "
         "ZooKeeper, once\n"
         "muster-coordinator --print-store DIR                   requests of a stopped "
         "coordinator's store as JSON lines\n"
         "muster-coordinator --version | --help\n";
}

}  // namespace muster::coordinator

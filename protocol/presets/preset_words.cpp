#include "protocol/presets/preset_words.h"

namespace muster::presets {

Words program(const EngineSpec& engine, const Words& usual) {
  return engine.command.empty() ? usual : engine.command;
}

HostAndPort splitAddress(const std::string& address) {
  size_t colon = address.rfind(':');
  if (colon == std::string::npos) return {address, ""};
  return {address.substr(0, colon), address.substr(colon + 1)};
}

void addOption(Words& words, std::string_view option, std::string value) {
  words.emplace_back(option);
  words.push_back(std::move(value));
}

void addEquals(Words& words, const std::string& name, const std::string& value) {
  std::string word = "--" + name;
  word.append("=").append(value);
  words.push_back(std::move(word));
}

void addArguments(Words& words, const EngineSpec& engine, ArgumentStyle style) {
  for (const auto& [name, value] : engine.args) {
    if (value == "true") {
      words.push_back("--" + name);
    } else if (value == "false") {
      if (style == ArgumentStyle::EQUALS_NEGATED) words.push_back("--no-" + name);
    } else if (style == ArgumentStyle::WORDS) {
      addOption(words, "--" + name, value);
    } else {
      addEquals(words, name, value);
    }
  }
}

ReadyProbe probeOf(const Assignment& assignment, const ReadyProbe& usual) {
  const ReadyProbe& asked = assignment.engine.ready;
  ReadyProbe probe;
  if (assignment.ref.rank.value == 0) {
    probe = asked.httpPath || asked.logLine ? asked : usual;
  }
  probe.timeout = asked.timeout;
  return probe;
}

}  // namespace muster::presets

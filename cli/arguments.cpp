// The only file that knows the command line library. It is given one flat command at a time and
// told to keep what it does not know, since by itself it hides unknown words behind other errors.
#include "cli/arguments.h"

#include "base/did_you_mean.h"

#include <CLI/CLI.hpp>

#include <algorithm>

namespace muster::cli {
namespace {

using Words = std::vector<std::string>;

std::string inQuotes(std::string_view word) { return "\"" + std::string(word) + "\""; }

std::string withGuess(const std::string& text, std::string_view word, const Words& candidates) {
  std::string guess = didYouMean(word, candidates);
  return guess.empty() ? text : text + ": " + guess;
}

bool isFlag(std::string_view word) { return word.size() > 1 && word[0] == '-'; }

std::vector<FlagSpec> flagsOf(const CommandSpec& command) {
  std::vector<FlagSpec> flags = globalFlags();
  flags.insert(flags.end(), command.flags.begin(), command.flags.end());
  return flags;
}

// Whether a flag's value is the next word. Of global flags only: others stand after the command.
bool takesNextWord(std::string_view word) {
  return std::ranges::any_of(globalFlags(), [&](const FlagSpec& flag) {
    bool same = word == flag.name ||
                (flag.letter != 0 && word == std::string_view(std::string{'-', flag.letter}));
    return same && flag.takes != Takes::NOTHING;
  });
}

// Where the words of the command stand among the flags.
std::vector<size_t> commandPlaces(const Words& words) {
  std::vector<size_t> places;
  for (size_t i = 0; i < words.size() && places.size() < 2; ++i) {
    if (words[i] == "--") break;
    if (!isFlag(words[i])) {
      places.push_back(i);
    } else if (takesNextWord(words[i])) {
      ++i;
    }
  }
  return places;
}

const CommandSpec* findCommand(std::span<const CommandSpec> commands, std::string_view path) {
  auto found = std::ranges::find(commands, path, &CommandSpec::path);
  return found == commands.end() ? nullptr : &*found;
}

// The second words of a group such as "admin"; empty when it is none.
Words membersOf(std::span<const CommandSpec> commands, std::string_view group) {
  Words members;
  std::string prefix = std::string(group) + " ";
  for (const auto& command : commands) {
    if (command.path.starts_with(prefix)) members.push_back(command.path.substr(prefix.size()));
  }
  return members;
}

Words firstWords(std::span<const CommandSpec> commands) {
  Words result{"help"};
  for (const auto& command : commands) {
    result.push_back(command.path.substr(0, command.path.find(' ')));
  }
  return result;
}

struct Split {
  const CommandSpec* command;
  Words rest;
};

std::variant<Split, UsageError> splitCommand(std::span<const CommandSpec> commands, Words words) {
  auto places = commandPlaces(words);
  if (places.empty()) return UsageError{"no command was given", "muster help"};
  std::string path = words[places[0]];
  Words members = membersOf(commands, path);
  size_t count = 1;
  if (!members.empty()) {
    if (places.size() < 2) {
      return UsageError{path + " needs one of " + CLI::detail::join(members, ", "),
                        "muster help " + path};
    }
    const std::string& member = words[places[1]];
    if (std::ranges::find(members, member) == members.end()) {
      return UsageError{
          withGuess("unknown command " + inQuotes(path + " " + member), member, members),
          "muster help " + path};
    }
    path += " " + member;
    count = 2;
  }
  const auto* command = findCommand(commands, path);
  if (command == nullptr) {
    return UsageError{withGuess("unknown command " + inQuotes(path), path, firstWords(commands)),
                      "muster help"};
  }
  for (size_t i = count; i-- > 0;) words.erase(words.begin() + static_cast<ptrdiff_t>(places[i]));
  return Split{command, std::move(words)};
}

std::string spelling(const FlagSpec& flag) {
  return flag.letter == 0 ? flag.name : "-" + std::string(1, flag.letter) + "," + flag.name;
}

UsageError unknownWord(const CommandSpec& command, const std::string& word) {
  std::string help = "muster help " + command.path;
  if (!isFlag(word)) {
    return {"muster " + command.path + " does not take the word " + inQuotes(word), help};
  }
  Words names;
  for (const auto& flag : flagsOf(command)) {
    if (!flag.help.empty()) names.push_back(flag.name);
  }
  std::string name = word.substr(0, word.find('='));
  return {withGuess("muster " + command.path + " does not know the flag " + inQuotes(name), name,
                    names),
          help};
}

std::optional<UsageError> checkChoice(const CommandSpec& command, const std::string& of,
                                      const std::string& value, const Words& choices) {
  if (choices.empty() || std::ranges::find(choices, value) != choices.end()) return std::nullopt;
  std::string text =
      of + " is " + inQuotes(value) + ", wanted one of " + CLI::detail::join(choices, ", ");
  return UsageError{withGuess(text, value, choices), "muster help " + command.path};
}

// One command as the library sees it.
class FlatCommand {
 public:
  explicit FlatCommand(const CommandSpec& command) : command_(command), flags_(flagsOf(command)) {
    app_.set_help_flag();
    app_.allow_extras();
    flagValues_.resize(flags_.size());
    wordValues_.resize(command.words.size());
    for (size_t i = 0; i < flags_.size(); ++i) addFlag(flags_[i], flagValues_[i]);
    for (size_t i = 0; i < command.words.size(); ++i) {
      app_.add_option(command.words[i].name, wordValues_[i]);
    }
  }

  std::variant<Arguments, UsageError> parse(Words words) {
    std::reverse(words.begin(), words.end());  // the library takes them from the back
    try {
      app_.parse(std::move(words));
    } catch (const CLI::ParseError& error) {
      return UsageError{error.what(), "muster help " + command_.path};
    }
    for (const auto& word : app_.remaining()) {
      if (word != "--") return unknownWord(command_, word);
    }
    return collect();
  }

 private:
  void addFlag(const FlagSpec& flag, Words& into) {
    if (flag.takes == Takes::NOTHING) {
      app_.add_flag(spelling(flag))->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    } else {
      app_.add_option(spelling(flag), into)->allow_extra_args(false);  // one word each time
    }
  }

  std::variant<Arguments, UsageError> collect() {
    Arguments result{.command = command_.path};
    for (size_t i = 0; i < flags_.size(); ++i) {
      if (app_.count(flags_[i].name) == 0) continue;
      if (auto error = checkFlag(flags_[i], flagValues_[i])) return *error;
      result.flags[flags_[i].name] = flagValues_[i];
    }
    bool helps = result.has("--help");
    for (size_t i = 0; i < command_.words.size(); ++i) {
      if (auto error = checkWord(command_.words[i], wordValues_[i]); error && !helps) return *error;
      if (!wordValues_[i].empty()) result.words[command_.words[i].name] = wordValues_[i];
    }
    if (!helps) return result;
    return Arguments{.command = "help", .words = {{"COMMAND", command_.path}}};
  }

  std::optional<UsageError> checkFlag(const FlagSpec& flag, const Words& values) const {
    if (flag.takes == Takes::VALUE && values.size() > 1) {
      return UsageError{flag.name + " was given " + std::to_string(values.size()) + " times",
                        "muster help " + command_.path};
    }
    for (const auto& value : values) {
      if (auto error = checkChoice(command_, flag.name, value, flag.choices)) return error;
    }
    return std::nullopt;
  }

  std::optional<UsageError> checkWord(const WordSpec& word, const std::string& value) const {
    if (value.empty()) {
      if (!word.isRequired) return std::nullopt;
      return UsageError{"muster " + command_.path + " needs " + word.name, usageLine(command_)};
    }
    return checkChoice(command_, word.name, value, word.choices);
  }

  const CommandSpec& command_;
  std::vector<FlagSpec> flags_;
  std::vector<Words> flagValues_;
  Words wordValues_;
  CLI::App app_;
};

bool asksForHelp(const Words& words) {
  return std::ranges::any_of(
      words, [](const std::string& word) { return word == "--help" || word == "-h"; });
}

std::string padded(std::string text, size_t width) {
  text.resize(std::max(width, text.size() + 2), ' ');
  return text;
}

constexpr size_t HELP_COLUMN = 30;

std::string flagLines(const std::vector<FlagSpec>& flags) {
  std::string text;
  for (const auto& flag : flags) {
    if (flag.help.empty()) continue;
    std::string left = flag.letter == 0 ? "    " : "-" + std::string(1, flag.letter) + ", ";
    left += flag.name + (flag.placeholder.empty() ? "" : " " + flag.placeholder);
    text += "  " + padded(left, HELP_COLUMN) + flag.help + "\n";
  }
  return text;
}

}  // namespace

const std::vector<FlagSpec>& globalFlags() {
  static const std::vector<FlagSpec> FLAGS{
      {"--context", 0, Takes::VALUE, "NAME|FILE",
       "which cluster; else MUSTER_CONTEXT, else the current one"},
      {"--tenant", 't', Takes::VALUE, "TENANT", "of references and documents that name none"},
      {"--output", 'o', Takes::VALUE, "FORMAT",
       "table, wide, json, yaml, name or value=/json/pointer"},
      {"--color", 0, Takes::VALUE, "WHEN", "auto, always or never", {"auto", "always", "never"}},
      {"--quiet", 'q', Takes::NOTHING, "", "no progress and no hints"},
      {"--verbose", 'v', Takes::NOTHING, "", "say what is tried"},
      {"--timeout", 0, Takes::VALUE, "DURATION", "how long to wait for an answer; 30s"},
      {"--yes", 'y', Takes::NOTHING, "", "do not ask before something that serves is stopped"},
      {"--no-input", 0, Takes::NOTHING, "", "never ask"},
      {"--help", 'h', Takes::NOTHING, "", "show this page"},
  };
  return FLAGS;
}

std::string Arguments::value(const std::string& flag) const {
  auto found = flags.find(flag);
  return found == flags.end() || found->second.empty() ? "" : found->second.back();
}

std::vector<std::string> Arguments::values(const std::string& flag) const {
  auto found = flags.find(flag);
  return found == flags.end() ? Words{} : found->second;
}

std::string Arguments::word(const std::string& name) const {
  auto found = words.find(name);
  return found == words.end() ? "" : found->second;
}

std::variant<Arguments, UsageError> parseArguments(std::span<const CommandSpec> commands,
                                                   const Words& words) {
  auto places = commandPlaces(words);
  if (!places.empty() && words[places[0]] == "help") {
    Arguments help{.command = "help"};
    if (places.size() < 2) return help;
    std::string topic = words[places[1]];
    if (places[1] + 1 < words.size() && !isFlag(words[places[1] + 1])) {
      topic += " " + words[places[1] + 1];
    }
    if (findCommand(commands, topic) == nullptr && membersOf(commands, topic).empty()) {
      return UsageError{
          withGuess("unknown command " + inQuotes(topic), topic, firstWords(commands)),
          "muster help"};
    }
    help.words["COMMAND"] = topic;
    return help;
  }
  if (places.empty() && (words.empty() || asksForHelp(words))) return Arguments{.command = "help"};
  auto split = splitCommand(commands, words);
  if (auto* error = std::get_if<UsageError>(&split)) {
    bool group = !places.empty() && !membersOf(commands, words[places[0]]).empty();
    if (group && asksForHelp(words)) {
      return Arguments{.command = "help", .words = {{"COMMAND", words[places[0]]}}};
    }
    return *error;
  }
  auto& found = std::get<Split>(split);
  return FlatCommand(*found.command).parse(std::move(found.rest));
}

std::string usageLine(const CommandSpec& command) {
  std::string line = "muster " + command.path;
  for (const auto& word : command.words) {
    line += word.isRequired ? " " + word.name : " [" + word.name + "]";
  }
  return line;
}

std::string helpText(std::span<const CommandSpec> commands, std::string_view path) {
  if (const auto* command = findCommand(commands, path)) {
    std::string text = usageLine(*command) + "\n  " + command->summary + "\n";
    for (const auto& word : command->words) {
      if (!word.choices.empty()) {
        text += "  " + word.name + ": " + CLI::detail::join(word.choices, ", ") + "\n";
      }
    }
    std::string own = flagLines(command->flags);
    if (!own.empty()) text += "\nFlags\n" + own;
    return text + "\nFlags of every command\n" + flagLines(globalFlags());
  }
  std::string text = path.empty() ? "muster COMMAND [FLAGS]\n\nCommands\n" : "Commands\n";
  std::string prefix = std::string(path) + " ";
  for (const auto& command : commands) {
    if (!path.empty() && !command.path.starts_with(prefix)) continue;
    text += "  " + padded(usageLine(command).substr(7), HELP_COLUMN) + command.summary + "\n";
  }
  text += "\nFlags of every command\n" + flagLines(globalFlags());
  return text + "\nmuster help COMMAND shows its flags; docs/CLI.md says more.\n";
}

}  // namespace muster::cli

// The command line: what each command takes, as a table, and what the user wrote.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace muster::cli {

enum class Takes : uint8_t { NOTHING, VALUE, VALUES };

struct FlagSpec {
  std::string name;  // "--dir"
  char letter = 0;   // 'w' for -w
  Takes takes = Takes::NOTHING;
  std::string placeholder = {};  // of the value, for help: "D"
  std::string help = {};         // empty: the flag is not shown
  std::vector<std::string> choices = {};
};

struct WordSpec {
  std::string name;  // "REF"
  bool isRequired = true;
  std::vector<std::string> choices = {};
};

struct CommandSpec {
  std::string path;  // "admin step-down"
  std::string summary;
  std::vector<WordSpec> words = {};
  std::vector<FlagSpec> flags = {};
};

// --context, --tenant and the others that every command takes.
const std::vector<FlagSpec>& globalFlags();

struct Arguments {
  std::string command;                                    // path; "help" when help was asked
  std::map<std::string, std::string> words;               // by the name of its WordSpec
  std::map<std::string, std::vector<std::string>> flags;  // by name; switches hold no values

  bool has(const std::string& flag) const { return flags.contains(flag); }
  // Empty when it was not given.
  std::string value(const std::string& flag) const;
  std::vector<std::string> values(const std::string& flag) const;
  std::string word(const std::string& name) const;
};

struct UsageError {
  std::string text;  // `unknown command "aply": did you mean "apply"?`
  std::string help;  // the next command
};

// `words` without the program's name. Unknown commands, flags and surplus words are errors with the
// nearest right one; flags may stand anywhere; after "--" everything is a word.
std::variant<Arguments, UsageError> parseArguments(std::span<const CommandSpec> commands,
                                                   const std::vector<std::string>& words);

// The page of one command, or with an empty path of all; ends with a line break.
std::string helpText(std::span<const CommandSpec> commands, std::string_view path);

// "muster scale REF --replicas N": how a command is written.
std::string usageLine(const CommandSpec& command);

}  // namespace muster::cli

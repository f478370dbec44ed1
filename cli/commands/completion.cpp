// Completion scripts, made of the table of commands: commands, their second words, flags and the
// words with a fixed choice.
#include "cli/commands/commands.h"
#include "cli/exit_code.h"

#include <map>
#include <set>

namespace muster::cli {
namespace {

// What may follow the words so far: "" -> "ps get ...", "admin" -> "status step-down".
std::map<std::string, std::set<std::string>> followers() {
  std::map<std::string, std::set<std::string>> result;
  for (const auto& command : allCommandSpecs()) {
    size_t space = command.path.find(' ');
    result[""].insert(command.path.substr(0, space));
    if (space != std::string::npos) {
      result[command.path.substr(0, space)].insert(command.path.substr(space + 1));
    }
    auto& after = result[command.path];
    for (const auto& flag : command.flags) {
      if (!flag.help.empty()) after.insert(flag.name);
    }
    for (const auto& flag : globalFlags()) after.insert(flag.name);
    for (const auto& word : command.words) after.insert(word.choices.begin(), word.choices.end());
  }
  return result;
}

std::string spaced(const std::set<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string bashScript() {
  std::string cases;
  for (const auto& [path, words] : followers()) {
    cases += "    \"" + path + "\") words=\"" + spaced(words) + "\" ;;\n";
  }
  return "_muster() {\n"
         "  local current=\"${COMP_WORDS[COMP_CWORD]}\" path=\"\" words=\"\" i\n"
         "  for ((i = 1; i < COMP_CWORD && i < 3; i++)); do\n"
         "    case \"${COMP_WORDS[i]}\" in\n"
         "      -*) ;;\n"
         "      *)\n"
         "        if [[ -z $path ]]; then path=\"${COMP_WORDS[i]}\"\n"
         "        elif [[ $path == admin || $path == context ]]; then path=\"$path "
         "${COMP_WORDS[i]}\"; fi ;;\n"
         "    esac\n"
         "  done\n"
         "  case \"$path\" in\n" +
         cases +
         "  esac\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
         "  [[ ${#COMPREPLY[@]} -gt 0 ]] || COMPREPLY=($(compgen -f -- \"$current\"))\n"
         "}\n"
         "complete -F _muster muster\n";
}

std::string fishScript() {
  std::string text = "complete -c muster -f\n";
  for (const auto& command : allCommandSpecs()) {
    size_t space = command.path.find(' ');
    std::string first = command.path.substr(0, space);
    if (space == std::string::npos) {
      text += "complete -c muster -n __fish_use_subcommand -a " + first + " -d '" +
              command.summary + "'\n";
    } else {
      text += "complete -c muster -n __fish_use_subcommand -a " + first + "\n";
      text += "complete -c muster -n '__fish_seen_subcommand_from " + first + "' -a " +
              command.path.substr(space + 1) + " -d '" + command.summary + "'\n";
    }
    for (const auto& flag : command.flags) {
      if (flag.help.empty()) continue;
      text += "complete -c muster -n '__fish_seen_subcommand_from " + first + "' -l " +
              flag.name.substr(2) + (flag.takes == Takes::NOTHING ? "" : " -r") + "\n";
    }
    if (!command.words.empty() && command.words[0].name == "FILE") {
      text += "complete -c muster -n '__fish_seen_subcommand_from " + first + "' -F\n";
    }
  }
  return text;
}

}  // namespace

Result<int> runCompletion(Invocation& invocation) {
  std::string shell = invocation.arguments.word("SHELL");
  if (shell == "fish") {
    invocation.terminal.out(fishScript());
  } else if (shell == "zsh") {
    invocation.terminal.out("#compdef muster\nautoload -U +X bashcompinit && bashcompinit\n" +
                            bashScript());
  } else {
    invocation.terminal.out(bashScript());
  }
  return EXIT_DONE;
}

}  // namespace muster::cli

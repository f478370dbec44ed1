// One run of the program: what was asked, and what it may use.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "cli/arguments.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "cli/views.h"

#include <string>

namespace muster::cli {

struct Invocation {
  const Arguments& arguments;
  Terminal& terminal;
  const Environment& environment;
  const Clock& clock;
  OutputFormat format;
  Duration timeout{30'000'000'000};

  bool has(const std::string& flag) const { return arguments.has(flag); }
  std::string tenant() const;  // of --tenant, else "default"
  ViewOptions view() const;
  // Shows what is wrong with a word or flag of the command line; gives exit code 2.
  int wrongUsage(const Refusal& refusal) const;
};

// What a command does; gives the exit code, or the refusal that is shown and decides on it.
using RunCommand = Result<int> (*)(Invocation&);

struct Command {
  CommandSpec spec;
  RunCommand run;
};

// All commands, in the order of help.
const std::vector<Command>& allCommands();
std::vector<CommandSpec> allCommandSpecs();

// Thrown when the user pressed Ctrl-C while a command waited. Leaving detaches: nothing is
// cancelled.
struct Interrupted {
  std::string detached;  // what goes on; empty: nothing worth saying
};

// The deployment as users refer to it, with --tenant where it names none. Refuses INVALID_NAME.
Result<std::string> referenceIn(const Invocation& invocation, const std::string& word);

// A whole number of a flag; `fallback` when it was not given. Refuses INVALID_VALUE, naming the
// flag.
struct NumberRange {
  uint32_t least = 0;
  uint32_t most = UINT32_MAX;
};
Result<uint32_t> numberOf(const Invocation& invocation, const std::string& flag, uint32_t fallback,
                          NumberRange range = {});

// Prints an answer in the format that was asked; `forPeople` makes the text of a table from the
// printable form of the answer.
Result<int> print(Invocation& invocation, const Json& answer,
                  const std::function<std::string(const Json&)>& forPeople);

}  // namespace muster::cli

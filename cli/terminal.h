// The user's side of a command: results on stdout; progress, hints and errors on stderr.
#pragma once

#include "base/result.h"
#include "protocol/error_text.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muster::cli {

// The process's variables, handed in so that tests choose them.
using Environment = std::map<std::string, std::string>;
Environment processEnvironment();
// Empty when it is not set.
std::string lookUp(const Environment& environment, const std::string& name);

enum class ColourChoice : uint8_t { AUTO, ALWAYS, NEVER };
enum class Verbosity : uint8_t { QUIET, NORMAL, VERBOSE };
enum class InputChoice : uint8_t { ASK, NEVER_ASK };
enum class Consent : uint8_t { TO_BE_ASKED, GIVEN };

// What stands at the other end of stdin, stdout and stderr.
struct TerminalStreams {
  std::function<void(std::string_view)> out;
  std::function<void(std::string_view)> err;
  std::function<std::optional<std::string>()> readLine;  // nothing at the end of the input
  bool inIsTerminal = false;
  bool outIsTerminal = false;
  bool errIsTerminal = false;
  size_t columns = 80;  // of the terminal, for redrawing
};
TerminalStreams processStreams();

struct TerminalOptions {
  ColourChoice colour = ColourChoice::AUTO;  // --color
  Verbosity verbosity = Verbosity::NORMAL;   // --quiet, --verbose
  InputChoice input = InputChoice::ASK;      // --no-input
  Consent consent = Consent::TO_BE_ASKED;    // --yes
};

enum class Paint : uint8_t { GOOD, BUSY, BAD, FAINT, BOLD };

class Terminal {
 public:
  Terminal(TerminalOptions options, TerminalStreams streams, const Environment& environment);

  // A result, with its own line breaks.
  void out(std::string_view text);
  void outLine(std::string_view text);
  // For people, on stderr: hints are silent with --quiet, details speak only with --verbose, errors
  // and warnings always. Each is one line (or several) without its last line break.
  void hint(std::string_view text);
  void detail(std::string_view text);
  void warn(std::string_view text);
  // In the style of protocol/error_text.h. Returns the exit code of the refusal.
  int fail(const Refusal& refusal, std::string_view fileName = "");

  // The state of what is going on, one line each. On a terminal the lines are drawn over the last
  // ones; elsewhere a line is written when it differs from the last one at its place. Silent with
  // --quiet.
  void progress(const std::vector<std::string>& lines);
  // What is drawn stays, and other text goes below it.
  void endProgress();

  // Asks before something that serves is stopped or removed: "CONSEQUENCE" and "QUESTION [y/N]" on
  // a terminal; with --yes nothing is asked. Gives nothing when the command may go on, else its
  // exit code: 1 when the user declined, 2 when nobody can be asked and --yes is missing.
  std::optional<int> stopUnlessConfirmed(std::string_view consequence, std::string_view question);

  // Whether somebody is there to answer a question.
  bool canAsk() const;
  // For what is too grave for a yes: the user types a word. Nothing when nobody can be asked; --yes
  // does not answer it.
  std::optional<std::string> askLine(std::string_view consequence, std::string_view question);

  // Wrong usage: `error: TEXT` and `  help: HELP`. Gives exit code 2.
  int failUsage(std::string_view text, std::string_view help);

  bool outIsTerminal() const { return streams_.outIsTerminal; }
  bool errIsTerminal() const { return streams_.errIsTerminal; }
  bool isQuiet() const { return options_.verbosity == Verbosity::QUIET; }
  // Colour never carries a meaning of its own.
  Colour outColour() const { return outColour_; }
  std::string painted(Paint paint, std::string_view text) const;  // for stdout
  size_t columns() const { return streams_.columns; }
  // Clears the screen of a terminal, for lists that are watched; nothing elsewhere.
  void clearScreen();

 private:
  void err(std::string_view line);

  TerminalOptions options_;
  TerminalStreams streams_;
  Colour outColour_ = Colour::OFF;
  Colour errColour_ = Colour::OFF;
  bool canRedraw_ = false;
  std::vector<std::string> drawn_;
};

}  // namespace muster::cli

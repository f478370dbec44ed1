#include "cli/terminal.h"

#include "cli/exit_code.h"
#include "cli/text.h"

#include <kj/debug.h>
#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <sys/ioctl.h>
#include <unistd.h>

namespace muster::cli {
namespace {

constexpr size_t LINE_READ_MAX = 4096;

// While the user is asked, Ctrl-C ends the process as it does everywhere, whatever the event loop
// has captured.
class InterruptibleByUser {
 public:
  InterruptibleByUser() {
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    sigaction(SIGINT, &standard, &before_);
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &interrupt, &maskBefore_);
  }
  ~InterruptibleByUser() {
    pthread_sigmask(SIG_SETMASK, &maskBefore_, nullptr);
    sigaction(SIGINT, &before_, nullptr);
  }
  InterruptibleByUser(const InterruptibleByUser&) = delete;
  InterruptibleByUser& operator=(const InterruptibleByUser&) = delete;

 private:
  struct sigaction before_ {};
  sigset_t maskBefore_{};
};

std::optional<std::string> readLineFromStdin() {
  InterruptibleByUser interruptible;
  std::string line;
  for (char byte = 0; line.size() < LINE_READ_MAX;) {
    if (read(STDIN_FILENO, &byte, 1) <= 0) break;
    if (byte == '\n') return line;
    line += byte;
  }
  if (line.empty()) return std::nullopt;
  return line;
}

// A reader that has gone (`muster ps | head -1`) ends the output, not the command's work.
void writeAll(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

size_t columnsOfTerminal() {
  winsize size{};
  for (int fd : {STDERR_FILENO, STDOUT_FILENO}) {
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  }
  return 80;
}

Colour decideColour(ColourChoice choice, bool isTerminal, const Environment& environment) {
  if (choice != ColourChoice::AUTO) {
    return choice == ColourChoice::ALWAYS ? Colour::ON : Colour::OFF;
  }
  bool wanted = isTerminal && lookUp(environment, "NO_COLOR").empty() &&
                lookUp(environment, "TERM") != "dumb";
  return wanted ? Colour::ON : Colour::OFF;
}

std::string_view sgrOf(Paint paint) {
  switch (paint) {
    case Paint::GOOD:
      return "32";
    case Paint::BUSY:
      return "33";
    case Paint::BAD:
      return "31";
    case Paint::FAINT:
      return "2";
    case Paint::BOLD:
      return "1";
  }
  return "0";
}

bool isYes(std::string_view answer) {
  return answer == "y" || answer == "Y" || answer == "yes" || answer == "Yes";
}

}  // namespace

Environment processEnvironment() {
  Environment result;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    std::string_view text(*entry);
    size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    result.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return result;
}

std::string lookUp(const Environment& environment, const std::string& name) {
  auto found = environment.find(name);
  return found == environment.end() ? std::string() : found->second;
}

TerminalStreams processStreams() {
  return {
      .out = [](std::string_view text) { writeAll(STDOUT_FILENO, text); },
      .err = [](std::string_view text) { writeAll(STDERR_FILENO, text); },
      .readLine = readLineFromStdin,
      .inIsTerminal = isatty(STDIN_FILENO) == 1,
      .outIsTerminal = isatty(STDOUT_FILENO) == 1,
      .errIsTerminal = isatty(STDERR_FILENO) == 1,
      .columns = columnsOfTerminal(),
  };
}

Terminal::Terminal(TerminalOptions options, TerminalStreams streams, const Environment& environment)
    : options_(options), streams_(std::move(streams)) {
  outColour_ = decideColour(options.colour, streams_.outIsTerminal, environment);
  errColour_ = decideColour(options.colour, streams_.errIsTerminal, environment);
  canRedraw_ = streams_.errIsTerminal && lookUp(environment, "TERM") != "dumb";
}

void Terminal::out(std::string_view text) {
  endProgress();
  streams_.out(text);
}

void Terminal::outLine(std::string_view text) { out(std::string(text) + "\n"); }

void Terminal::err(std::string_view line) {
  endProgress();
  streams_.err(std::string(line) + "\n");
}

void Terminal::hint(std::string_view text) {
  if (options_.verbosity != Verbosity::QUIET) err(text);
}

void Terminal::detail(std::string_view text) {
  if (options_.verbosity == Verbosity::VERBOSE) err(text);
}

void Terminal::warn(std::string_view text) { err(text); }

int Terminal::fail(const Refusal& refusal, std::string_view fileName) {
  endProgress();
  streams_.err(toErrorText(printable(refusal), {.fileName = fileName, .colour = errColour_}));
  return refusalInfo(refusal.code).exitCode;
}

void Terminal::progress(const std::vector<std::string>& lines) {
  if (options_.verbosity == Verbosity::QUIET) return;
  std::string text;
  if (canRedraw_) {
    if (!drawn_.empty()) text += "\x1b[" + std::to_string(drawn_.size()) + "A\r";
    for (const auto& line : lines) text += "\x1b[2K" + cutTo(line, streams_.columns - 1) + "\n";
    if (lines.size() < drawn_.size()) text += "\x1b[J";
  } else {
    for (size_t i = 0; i < lines.size(); ++i) {
      if (i >= drawn_.size() || drawn_[i] != lines[i]) text += lines[i] + "\n";
    }
  }
  drawn_ = lines;
  if (!text.empty()) streams_.err(text);
}

void Terminal::endProgress() {
  if (canRedraw_) drawn_.clear();
}

bool Terminal::canAsk() const {
  return streams_.inIsTerminal && streams_.errIsTerminal && options_.input == InputChoice::ASK;
}

std::optional<std::string> Terminal::askLine(std::string_view consequence,
                                             std::string_view question) {
  if (!canAsk()) return std::nullopt;
  endProgress();
  streams_.err(std::string(consequence) + "\n" + std::string(question) + ": ");
  auto answer = streams_.readLine();
  if (!answer) streams_.err("\n");
  return answer.value_or("");
}

std::optional<int> Terminal::stopUnlessConfirmed(std::string_view consequence,
                                                 std::string_view question) {
  if (options_.consent == Consent::GIVEN) return std::nullopt;
  if (!canAsk()) {
    return failUsage(std::string(consequence) + ", and nobody can be asked whether that is wanted",
                     "repeat the command with --yes");
  }
  endProgress();
  streams_.err(std::string(consequence) + "\n" + std::string(question) + " [y/N] ");
  auto answer = streams_.readLine();
  if (!answer) streams_.err("\n");
  if (answer && isYes(*answer)) return std::nullopt;
  warn("nothing was changed");
  return EXIT_FAILED;
}

int Terminal::failUsage(std::string_view text, std::string_view help) {
  bool colour = errColour_ == Colour::ON;
  std::string line = colour ? "\x1b[1;31merror\x1b[0m: " : "error: ";
  line += printable(text);
  if (!help.empty())
    line += (colour ? "\n  \x1b[36mhelp:\x1b[0m " : "\n  help: ") + printable(help);
  err(line);
  return EXIT_USAGE;
}

std::string Terminal::painted(Paint paint, std::string_view text) const {
  if (outColour_ == Colour::OFF || text.empty()) return std::string(text);
  return "\x1b[" + std::string(sgrOf(paint)) + "m" + std::string(text) + "\x1b[0m";
}

void Terminal::clearScreen() {
  if (streams_.outIsTerminal) streams_.out("\x1b[H\x1b[2J");
}

}  // namespace muster::cli

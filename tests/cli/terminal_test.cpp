#include "cli/terminal.h"

#include <gtest/gtest.h>

namespace muster::cli::terminal_test {
namespace {

struct Screen {
  std::string out;
  std::string err;
  std::optional<std::string> typed;
  enum class Kind { PIPE, TERMINAL } kind = Kind::PIPE;

  TerminalStreams streams() {
    bool terminal = kind == Kind::TERMINAL;
    return {.out = [this](std::string_view text) { out += text; },
            .err = [this](std::string_view text) { err += text; },
            .readLine = [this] { return typed; },
            .inIsTerminal = terminal,
            .outIsTerminal = terminal,
            .errIsTerminal = terminal,
            .columns = 20};
  }
};

TEST(Terminal, coloursOnATerminalUnlessToldOtherwise) {
  using Kind = Screen::Kind;
  struct Case {
    const char* name;
    Kind kind;
    ColourChoice choice;
    Environment environment;
    Colour wanted;
  };
  const Case CASES[] = {
      {"terminal", Kind::TERMINAL, ColourChoice::AUTO, {{"TERM", "xterm"}}, Colour::ON},
      {"pipe", Kind::PIPE, ColourChoice::AUTO, {}, Colour::OFF},
      {"NO_COLOR", Kind::TERMINAL, ColourChoice::AUTO, {{"NO_COLOR", "1"}}, Colour::OFF},
      {"empty NO_COLOR", Kind::TERMINAL, ColourChoice::AUTO, {{"NO_COLOR", ""}}, Colour::ON},
      {"dumb", Kind::TERMINAL, ColourChoice::AUTO, {{"TERM", "dumb"}}, Colour::OFF},
      {"never", Kind::TERMINAL, ColourChoice::NEVER, {}, Colour::OFF},
      {"always", Kind::PIPE, ColourChoice::ALWAYS, {{"NO_COLOR", "1"}}, Colour::ON},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.name);
    Screen screen{.kind = c.kind};
    Terminal terminal({.colour = c.choice}, screen.streams(), c.environment);
    EXPECT_EQ(terminal.outColour(), c.wanted);
    EXPECT_EQ(terminal.painted(Paint::GOOD, "x") == "x", c.wanted == Colour::OFF);
  }
}

TEST(Terminal, resultsGoToStdoutAndAllElseToStderr) {
  Screen screen;
  Terminal terminal({}, screen.streams(), {});
  terminal.outLine("result");
  terminal.hint("hint");
  terminal.detail("detail");
  EXPECT_EQ(terminal.fail({RefusalCode::NO_LEADER, "nobody\x1b[2J leads", {}, {"wait"}}), 7);
  EXPECT_EQ(screen.out, "result\n");
  EXPECT_EQ(screen.err, "hint\nerror[E0701]: nobody?[2J leads\n  help: wait\n");
}

TEST(Terminal, quietSaysErrorsOnly) {
  Screen screen;
  Terminal terminal({.verbosity = Verbosity::QUIET}, screen.streams(), {});
  terminal.hint("hint");
  terminal.progress({"working"});
  terminal.warn("warning");
  EXPECT_EQ(screen.err, "warning\n");
}

TEST(Terminal, progressIsOneLinePerChangeElsewhere) {
  Screen screen;
  Terminal terminal({}, screen.streams(), {});
  terminal.progress({"a 1", "b 1"});
  terminal.progress({"a 1", "b 2"});
  terminal.progress({"a 1", "b 2"});
  EXPECT_EQ(screen.err, "a 1\nb 1\nb 2\n");
}

TEST(Terminal, progressIsRedrawnOnATerminal) {
  Screen screen{.kind = Screen::Kind::TERMINAL};
  Terminal terminal({}, screen.streams(), {{"TERM", "xterm"}});
  terminal.progress({"a", "b that is much longer than the line"});
  terminal.progress({"c"});
  terminal.outLine("done");
  terminal.progress({"d"});
  EXPECT_EQ(screen.err,
            "\x1b[2Ka\n\x1b[2Kb that is much l...\n\x1b[2A\r\x1b[2Kc\n\x1b[J\x1b[2Kd\n");
}

TEST(Terminal, asksBeforeSomethingStops) {
  using Kind = Screen::Kind;
  struct Case {
    const char* name;
    Kind kind;
    TerminalOptions options;
    std::optional<std::string> typed;
    std::optional<int> wanted;  // exit code; nothing: go on
  };
  const Case CASES[] = {
      {"--yes", Kind::PIPE, {.consent = Consent::GIVEN}, {}, {}},
      {"a pipe", Kind::PIPE, {}, "y", 2},
      {"--no-input", Kind::TERMINAL, {.input = InputChoice::NEVER_ASK}, "y", 2},
      {"y", Kind::TERMINAL, {}, "y", {}},
      {"n", Kind::TERMINAL, {}, "n", 1},
      {"only return", Kind::TERMINAL, {}, "", 1},
      {"end of input", Kind::TERMINAL, {}, {}, 1},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.name);
    Screen screen{.typed = c.typed, .kind = c.kind};
    Terminal terminal(c.options, screen.streams(), {});
    EXPECT_EQ(terminal.stopUnlessConfirmed("deleting a stops it", "delete a?"), c.wanted);
    if (c.kind == Kind::TERMINAL && c.wanted != 2) {
      EXPECT_TRUE(screen.err.starts_with("deleting a stops it\ndelete a? [y/N] ")) << screen.err;
    }
    EXPECT_EQ(screen.err.find("--yes") != std::string::npos, c.wanted == 2);
  }
}

}  // namespace
}  // namespace muster::cli::terminal_test

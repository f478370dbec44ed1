#include "cli/commands/run.h"

#include "base/did_you_mean.h"
#include "base/exception_refusal.h"
#include "cli/commands/invocation.h"
#include "cli/exit_code.h"

#include <algorithm>
#include <exception>

namespace muster::cli {
namespace {

TerminalOptions terminalOptions(const Arguments& arguments) {
  TerminalOptions options;
  std::string colour = arguments.value("--color");
  if (colour == "always") options.colour = ColourChoice::ALWAYS;
  if (colour == "never") options.colour = ColourChoice::NEVER;
  if (arguments.has("--verbose")) options.verbosity = Verbosity::VERBOSE;
  if (arguments.has("--quiet")) options.verbosity = Verbosity::QUIET;
  if (arguments.has("--no-input")) options.input = InputChoice::NEVER_ASK;
  if (arguments.has("--yes")) options.consent = Consent::GIVEN;
  return options;
}

// Fills what the global flags say; gives an exit code when one of them is wrong.
std::optional<int> readGlobals(Invocation& invocation) {
  const Arguments& arguments = invocation.arguments;
  std::string output = arguments.value("--output");
  auto format = parseOutputFormat(output);
  if (!format) {
    std::string guess = didYouMean(output, outputFormats());
    return invocation.terminal.failUsage(
        "--output is \"" + output +
            "\", wanted table, wide, json, yaml, name or value=/json/pointer" +
            (guess.empty() ? "" : ": " + guess),
        "muster help " + arguments.command);
  }
  invocation.format = *format;
  std::string timeout = arguments.value("--timeout");
  if (timeout.empty()) return std::nullopt;
  auto duration = parseDuration(timeout);
  if (!duration || duration->nanos <= 0) {
    return invocation.terminal.failUsage(
        "--timeout is \"" + timeout + "\", wanted a duration such as 30s or 5m",
        "muster help " + arguments.command);
  }
  invocation.timeout = *duration;
  return std::nullopt;
}

int runCommand(Invocation& invocation) {
  const auto& commands = allCommands();
  auto command = std::ranges::find_if(
      commands, [&](const Command& one) { return one.spec.path == invocation.arguments.command; });
  auto result = command->run(invocation);
  return result ? *result : invocation.terminal.fail(result.refusal());
}

int runGuarded(Invocation& invocation) {
  try {
    return runCommand(invocation);
  } catch (const Interrupted& interrupted) {
    std::string text = interrupted.detached.empty() ? "" : "; " + interrupted.detached;
    invocation.terminal.warn("detached" + text);
    return EXIT_INTERRUPTED;
  } catch (const kj::Exception& exception) {
    return invocation.terminal.fail(refusalOf(exception));
  } catch (const std::exception& exception) {
    return invocation.terminal.fail({RefusalCode::INTERNAL, exception.what()});
  }
}

}  // namespace

int runMuster(const std::vector<std::string>& words, const TerminalStreams& streams,
              const Environment& environment, const Clock& clock) {
  auto specs = allCommandSpecs();
  auto parsed = parseArguments(specs, words);
  if (auto* error = std::get_if<UsageError>(&parsed)) {
    return Terminal({}, streams, environment).failUsage(error->text, error->help);
  }
  const auto& arguments = std::get<Arguments>(parsed);
  Terminal terminal(terminalOptions(arguments), streams, environment);
  if (arguments.command == "help") {
    terminal.out(helpText(specs, arguments.word("COMMAND")));
    return EXIT_DONE;
  }
  Invocation invocation{
      .arguments = arguments, .terminal = terminal, .environment = environment, .clock = clock};
  if (auto exitCode = readGlobals(invocation)) return *exitCode;
  return runGuarded(invocation);
}

}  // namespace muster::cli

#include "cli/arguments.h"

#include "cli/commands/invocation.h"

#include <gtest/gtest.h>

namespace muster::cli::arguments_test {
namespace {

using Words = std::vector<std::string>;

std::variant<Arguments, UsageError> parse(const Words& words) {
  static const std::vector<CommandSpec> SPECS = allCommandSpecs();
  return parseArguments(SPECS, words);
}

struct Good {
  const char* name;
  Words words;
  const char* command;
  std::map<std::string, std::string> parts;  // words and flags by name; switches are ""
};

TEST(Arguments, areTakenApart) {
  const Good CASES[] = {
      {"a word", {"why", "chat"}, "why", {{"REF", "chat"}}},
      {"a group", {"admin", "step-down", "--to", "co2"}, "admin step-down", {{"--to", "co2"}}},
      {"global flags first",
       {"--context", "prod", "-t", "lab", "ps"},
       "ps",
       {{"--context", "prod"}, {"--tenant", "lab"}}},
      {"flags anywhere",
       {"get", "-w", "ranks", "-o", "json", "a/b/0"},
       "get",
       {{"KIND", "ranks"}, {"REF", "a/b/0"}, {"--output", "json"}, {"--watch", ""}}},
      {"with an equals sign",
       {"scale", "a", "--replicas=3"},
       "scale",
       {{"REF", "a"}, {"--replicas", "3"}}},
      {"short flags together", {"ps", "-wq"}, "ps", {{"--watch", ""}, {"--quiet", ""}}},
      {"stdin", {"apply", "-"}, "apply", {{"FILE", "-"}}},
      {"a switch twice", {"ps", "-v", "-v"}, "ps", {{"--verbose", ""}}},
      {"help of a command", {"scale", "--help"}, "help", {{"COMMAND", "scale"}}},
      {"help of a group", {"admin", "-h"}, "help", {{"COMMAND", "admin"}}},
      {"help command", {"help", "admin", "status"}, "help", {{"COMMAND", "admin status"}}},
      {"nothing", {}, "help", {}},
      {"only --help", {"--help"}, "help", {}},
      {"after two dashes all are words", {"why", "--", "-x"}, "why", {{"REF", "-x"}}},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.name);
    auto parsed = parse(c.words);
    if (auto* error = std::get_if<UsageError>(&parsed)) {
      ADD_FAILURE() << error->text;
      continue;
    }
    const auto& arguments = std::get<Arguments>(parsed);
    EXPECT_EQ(arguments.command, c.command);
    EXPECT_EQ(arguments.words.size() + arguments.flags.size(), c.parts.size());
    for (const auto& [name, value] : c.parts) {
      bool isFlag = name[0] == '-';
      EXPECT_EQ(isFlag ? arguments.value(name) : arguments.word(name), value) << name;
      EXPECT_TRUE(isFlag ? arguments.has(name) : arguments.words.contains(name)) << name;
    }
  }
}

TEST(Arguments, repeatedFlagsKeepAllValues) {
  auto parsed = parse({"up", "--models", "/a", "--models", "/b"});
  const auto& arguments = std::get<Arguments>(parsed);
  EXPECT_EQ(arguments.values("--models"), (Words{"/a", "/b"}));
}

TEST(Arguments, unknownWordsGetASuggestion) {
  struct Case {
    const char* name;
    Words words;
    const char* text;
  };
  const Case CASES[] = {
      {"command", {"aply", "x.yaml"}, "unknown command \"aply\": did you mean \"apply\"?"},
      {"command nothing is near of", {"frobnicate"}, "unknown command \"frobnicate\""},
      {"second word",
       {"admin", "statsu"},
       "unknown command \"admin statsu\": did you mean \"status\"?"},
      {"second word missing",
       {"admin"},
       "admin needs one of status, certs, step-down, backup, restore, history"},
      {"flag",
       {"ps", "--wach"},
       "muster ps does not know the flag \"--wach\": did you mean \"--watch\"?"},
      {"flag with a value",
       {"ps", "--tennant=x"},
       "muster ps does not know the flag \"--tennant\": did you mean \"--tenant\"?"},
      {"short flag", {"ps", "-x"}, "muster ps does not know the flag \"-x\""},
      {"a flag of another command",
       {"ps", "--replicas", "3"},
       "muster ps does not know the flag \"--replicas\""},
      {"surplus word", {"ps", "x"}, "muster ps does not take the word \"x\""},
      {"missing word", {"why"}, "muster why needs REF"},
      {"wrong choice",
       {"get", "nods"},
       "KIND is \"nods\", wanted one of nodes, gpus, deployments, replicas, ranks, events, models: "
       "did you mean \"nodes\"?"},
      {"wrong choice of a flag",
       {"ps", "--color", "alway"},
       "--color is \"alway\", wanted one of auto, always, never: did you mean \"always\"?"},
      {"flag twice", {"ps", "--context", "a", "--context", "b"}, "--context was given 2 times"},
      {"hidden flags are not suggested",
       {"up", "--supervis"},
       "muster up does not know the flag \"--supervis\""},
      {"help of nothing", {"help", "aply"}, "unknown command \"aply\": did you mean \"apply\"?"},
      {"an option file is no feature",
       {"ps", "--config", "x"},
       "muster ps does not know the flag \"--config\""},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.name);
    auto parsed = parse(c.words);
    auto* error = std::get_if<UsageError>(&parsed);
    ASSERT_NE(error, nullptr);
    EXPECT_EQ(error->text, c.text);
    EXPECT_FALSE(error->help.empty());
  }
}

TEST(Arguments, everyCommandHasAPageWithItsFlags) {
  auto specs = allCommandSpecs();
  for (const auto& spec : specs) {
    SCOPED_TRACE(spec.path);
    std::string page = helpText(specs, spec.path);
    EXPECT_TRUE(page.starts_with("muster " + spec.path));
    for (const auto& flag : spec.flags) {
      EXPECT_EQ(page.find(flag.name) != std::string::npos, !flag.help.empty()) << flag.name;
    }
    EXPECT_NE(helpText(specs, "").find(spec.path), std::string::npos);
  }
}

}  // namespace
}  // namespace muster::cli::arguments_test

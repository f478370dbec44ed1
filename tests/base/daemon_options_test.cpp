#include "base/daemon_options.h"

#include <gtest/gtest.h>

namespace muster::daemon_options_test {
namespace {

using Words = std::vector<std::string>;
using Flags = std::map<std::string, std::string>;

const ConfigSchema& schema() {
  static const ConfigSchema SCHEMA{
      .file = "d.toml",
      .keys = {configKey("node", ConfigType::STRING, std::nullopt, "Name."),
               configChoice("log.level", "info", {"info", "debug"}, "Level."),
               configKey("devices", ConfigType::TABLE_LIST, std::nullopt, "Tables.")}};
  return SCHEMA;
}

Result<DaemonOptions> parse(const Words& words) {
  return parseDaemonOptions({.program = "muster-d",
                             .schema = schema(),
                             .actions = {"help"},
                             .actionsWithArgument = {"print"}},
                            words);
}

TEST(DaemonOptions, takesKeysOfTheSchemaInBothForms) {
  auto options = parse({"--node", "w1", "--config=/x.toml", "--log.level=debug"});
  ASSERT_TRUE(options.ok()) << options.refusal().text;
  EXPECT_EQ(options->flags, (Flags{{"node", "w1"}, {"log.level", "debug"}}));
  EXPECT_EQ(options->configPath, "/x.toml");
  EXPECT_EQ(options->action, "");
}

TEST(DaemonOptions, takesActions) {
  EXPECT_EQ(parse({"--help"})->action, "help");
  auto print = parse({"--print", "/data"});
  EXPECT_EQ(print->action, "print");
  EXPECT_EQ(print->argument, "/data");
}

TEST(DaemonOptions, refusesWhatItDoesNotKnow) {
  struct Case {
    Words words;
    const char* text;
  };
  for (const auto& c :
       {Case{{"help"}, "unknown word \"help\""}, Case{{"--nod", "w1"}, "unknown flag \"--nod\""},
        Case{{"--devices=x"}, "unknown flag \"--devices=x\""},
        Case{{"--help=now"}, "unknown flag \"--help=now\""},
        Case{{"--node"}, "flag --node needs a value"},
        Case{{"--print"}, "flag --print needs a value"}}) {
    SCOPED_TRACE(c.text);
    auto options = parse(c.words);
    ASSERT_FALSE(options.ok());
    EXPECT_EQ(options.refusal().text, c.text);
    EXPECT_EQ(options.refusal().fixes, Words{"muster-d --help"});
  }
}

}  // namespace
}  // namespace muster::daemon_options_test

#include "base/config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <unistd.h>

namespace muster::config_test {
namespace {

ConfigSchema sample() {
  return {
      "sample.toml",
      "Settings of the sample.",
      {{.name = "name", .doc = "Name of this node."},
       {.name = "threads",
        .type = ConfigType::INTEGER,
        .fallback = "2",
        .doc = "Threads.",
        .least = 1,
        .most = 64},
       {.name = "log.format", .fallback = "text", .doc = "Format.", .choices = {"text", "json"}},
       {.name = "log.color", .type = ConfigType::BOOLEAN, .fallback = "false", .doc = "a|b"},
       {.name = "lease", .type = ConfigType::DURATION, .fallback = "6s", .doc = "Lease."},
       {.name = "cache", .type = ConfigType::BYTES, .fallback = "1GiB", .doc = "Cache."},
       {.name = "model_roots",
        .type = ConfigType::STRING_LIST,
        .fallback = "/a,/b",
        .doc = "Roots."},
       {.name = "devices",
        .type = ConfigType::TABLE_LIST,
        .doc = "Devices.",
        .columns = {
            {.name = "type", .doc = "Kind.", .choices = {"cpu"}},
            {.name = "memory", .type = ConfigType::BYTES, .fallback = "4GiB", .doc = "Size."}}}}};
}

Result<ConfigTable> read(const std::string& text,
                         std::map<std::string, std::string> environment = {},
                         std::map<std::string, std::string> flags = {}) {
  return readConfig(sample(), {{{"sample.toml", text}}, std::move(environment), std::move(flags)});
}

TEST(Config, readsEveryType) {
  auto config = read(R"(
name = "w1"
threads = 8
lease = "250ms"
cache = "1.5GiB"
model_roots = ["/models", "/mnt/more"]
devices = [{type = "cpu", memory = "2GiB"}, {type = "cpu"}]
[log]
format = "json"
color = true
)");
  ASSERT_TRUE(config.ok()) << config.refusal().text;
  EXPECT_EQ(config->text("name"), "w1");
  EXPECT_EQ(config->integer("threads"), 8);
  EXPECT_EQ(config->duration("lease"), 250_ms);
  EXPECT_EQ(config->bytes("cache"), 1536_MiB);
  EXPECT_EQ(config->list("model_roots"), (std::vector<std::string>{"/models", "/mnt/more"}));
  EXPECT_EQ(config->text("log.format"), "json");
  EXPECT_TRUE(config->boolean("log.color"));
  ASSERT_EQ(config->tables("devices").size(), 2u);
  EXPECT_EQ(config->tables("devices")[0].bytes("memory"), 2_GiB);
  EXPECT_EQ(config->tables("devices")[1].bytes("memory"), 4_GiB);
  EXPECT_EQ(config->source("threads"), "sample.toml:3");
  EXPECT_THROW((void)config->text("threads"), kj::Exception);
  EXPECT_THROW((void)config->text("nonsense"), kj::Exception);
}

TEST(Config, defaultsStandWhereNothingIsSaid) {
  auto config = read("name = 'w1'\n[[devices]]\ntype = 'cpu'\n");
  ASSERT_TRUE(config.ok()) << config.refusal().text;
  EXPECT_EQ(config->integer("threads"), 2);
  EXPECT_EQ(config->list("model_roots"), (std::vector<std::string>{"/a", "/b"}));
  EXPECT_FALSE(config->isSet("threads"));
  EXPECT_EQ(config->source("threads"), "default");
  EXPECT_EQ(config->tables("devices").size(), 1u);
}

TEST(Config, flagBeatsVariableBeatsFirstFileBeatsSecondBeatsDefault) {
  ConfigSources sources;
  sources.files = {{"user.toml", "name = 'u'\nthreads = 3\n[log]\nformat = 'json'\n"},
                   {"etc.toml", "name = 'e'\nthreads = 4\ncache = '2GiB'\nlease = '7s'\n"}};
  sources.environment = {{"MUSTER_THREADS", "5"}, {"MUSTER_LEASE", "8s"}, {"MUSTER_CONTEXT", "x"}};
  sources.flags = {{"lease", "9s"}};
  auto config = readConfig(sample(), sources);
  ASSERT_TRUE(config.ok()) << config.refusal().text;
  EXPECT_EQ(config->duration("lease"), 9_s);
  EXPECT_EQ(config->origin("lease"), ConfigOrigin::FLAG);
  EXPECT_EQ(config->source("lease"), "--lease");
  EXPECT_EQ(config->integer("threads"), 5);
  EXPECT_EQ(config->origin("threads"), ConfigOrigin::ENVIRONMENT);
  EXPECT_EQ(config->source("threads"), "MUSTER_THREADS");
  EXPECT_EQ(config->text("name"), "u");
  EXPECT_EQ(config->source("log.format"), "user.toml:4");
  EXPECT_EQ(config->source("cache"), "etc.toml:3");
  EXPECT_EQ(config->origin("log.color"), ConfigOrigin::DEFAULT);
}

struct BadFile {
  const char* name;
  const char* text;
  RefusalCode code;
  uint32_t line;
  uint32_t column;
  const char* message;
  const char* hint;
};

TEST(Config, refusesWithPlaceAndSuggestion) {
  const BadFile CASES[] = {
      {"unknown key", "name = 'a'\nthreds = 3\n", RefusalCode::UNKNOWN_FIELD, 2, 1,
       "unknown key \"threds\"", "did you mean \"threads\"?"},
      {"unknown in a section", "name = 'a'\n[log]\n  fromat = 'text'\n", RefusalCode::UNKNOWN_FIELD,
       3, 3, "unknown key \"log.fromat\"", "did you mean \"log.format\"?"},
      {"unknown section", "name = 'a'\n[logg]\nformat = 'text'\n", RefusalCode::UNKNOWN_FIELD, 2, 2,
       "unknown key \"logg\"", "did you mean \"log\"?"},
      {"unknown column", "name = 'a'\ndevices = [{type = 'cpu', memry = '1GiB'}]\n",
       RefusalCode::UNKNOWN_FIELD, 2, 27, "unknown key \"devices[0].memry\"",
       "did you mean \"memory\"?"},
      {"wrong type", "name = 'a'\nthreads = 'two'\n", RefusalCode::INVALID_VALUE, 2, 11,
       "threads is \"two\", wanted a whole number such as 3", ""},
      {"out of range", "name = 'a'\nthreads = 65\n", RefusalCode::INVALID_VALUE, 2, 11,
       "threads is 65, wanted at least 1 and at most 64", ""},
      {"no duration", "name = 'a'\nlease = 6\n", RefusalCode::INVALID_VALUE, 2, 9,
       "lease is 6, wanted a duration such as \"30s\"", ""},
      {"no size", "name = 'a'\ncache = '1GB'\n", RefusalCode::INVALID_VALUE, 2, 9,
       "cache is \"1GB\", wanted a size such as \"4GiB\"", ""},
      {"no choice", "name = 'a'\n[log]\nformat = 'jsn'\n", RefusalCode::INVALID_VALUE, 3, 10,
       "log.format is \"jsn\", wanted one of text, json", "did you mean \"json\"?"},
      {"mixed list", "name = 'a'\nmodel_roots = ['x', 3]\n", RefusalCode::INVALID_VALUE, 2, 15,
       "model_roots is a list with 3, wanted a list of strings such as [\"a\", \"b\"]", ""},
      {"value for a section", "name = 'a'\nlog = 3\n", RefusalCode::UNKNOWN_FIELD, 2, 1,
       "unknown key \"log\"", "did you mean \"log\"?"},
      {"no tables", "name = 'a'\ndevices = [3]\n", RefusalCode::INVALID_VALUE, 2, 11,
       "devices is a list, wanted a list of tables", ""},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.name);
    auto config = read(c.text);
    ASSERT_FALSE(config.ok());
    ASSERT_EQ(config.refusal().errors.size(), 1u);
    const auto& error = config.refusal().errors[0];
    EXPECT_EQ(error.code, c.code);
    EXPECT_EQ(error.line, c.line);
    EXPECT_EQ(error.column, c.column);
    EXPECT_EQ(error.message, c.message);
    EXPECT_EQ(error.hint, c.hint);
    EXPECT_FALSE(error.sourceLine.empty());
    EXPECT_EQ(config.refusal().code, c.code);
    EXPECT_TRUE(config.refusal().text.starts_with("sample.toml: "));
  }
}

TEST(Config, leavesOtherKeysToTheirOwnerWhenToldTo) {
  ConfigSchema schema = sample();
  schema.others = OtherKeys::IGNORED;
  auto look = [&](const std::string& text) {
    return readConfig(schema, {{{"a.toml", text}}, {}, {}});
  };
  auto config =
      look("name = 'a'\nthreds = 3\n[log]\nformat = 'json'\nfromat = 1\n[[peers]]\nid = 1\n");
  ASSERT_TRUE(config.ok()) << config.refusal().text;
  EXPECT_EQ(config->text("log.format"), "json");
  EXPECT_FALSE(look("name = 3\n").ok());
}

TEST(Config, refusesDuplicatesAndBrokenSyntax) {
  auto twice = read("name = 'a'\nname = 'b'\n");
  ASSERT_FALSE(twice.ok());
  EXPECT_EQ(twice.refusal().code, RefusalCode::DUPLICATE_KEY) << twice.refusal().text;
  EXPECT_EQ(twice.refusal().errors[0].line, 2u);
  auto broken = read("name = 'a'\nthreads = \n");
  ASSERT_FALSE(broken.ok());
  EXPECT_EQ(broken.refusal().code, RefusalCode::INVALID_SYNTAX);
  EXPECT_EQ(broken.refusal().errors[0].line, 2u);
}

TEST(Config, saysAllErrorsAtOnceAndWhatIsMissing) {
  auto config = read("threads = 0\nx = 1\ny = 2\n");
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.refusal().errors.size(), 3u);
  auto missing = read("[[devices]]\nmemory = '1GiB'\n");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.refusal().code, RefusalCode::MISSING_FIELD);
  EXPECT_EQ(missing.refusal().errors[0].path, "devices[0].type");
  auto nothing = readConfig(sample(), {});
  ASSERT_FALSE(nothing.ok());
  EXPECT_EQ(nothing.refusal().errors[0].path, "name");
}

TEST(Config, refusesWrongVariables) {
  auto config = read("name = 'a'\n", {{"MUSTER_THREADS", "many"}});
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.refusal().errors[0].message,
            "MUSTER_THREADS: threads is \"many\", wanted a whole number such as 3");
  EXPECT_FALSE(read("name = 'a'\n", {{"MUSTER_LOG_COLOR", "yes"}}).ok());
  EXPECT_FALSE(read("name = 'a'\n", {{"MUSTER_DEVICES", "cpu"}}).ok());
}

TEST(Config, aMissingFileIsEmptyOnlyWhenNobodyAskedForIt) {
  std::string path =
      (std::filesystem::temp_directory_path() / "muster-no-such-config.toml").string();
  auto asked = loadConfig(sample(), path, ConfigPresence::REQUIRED, {{"name", "x"}});
  ASSERT_FALSE(asked.ok());
  EXPECT_EQ(asked.refusal().code, RefusalCode::NOT_FOUND);
  EXPECT_TRUE(loadConfig(sample(), path, ConfigPresence::OPTIONAL, {{"name", "x"}}).ok());
}

TEST(Config, markdownShowsEachKeyOnce) {
  EXPECT_EQ(toMarkdown(sample()), R"(## sample.toml

Settings of the sample.

| key | type | default | meaning |
| --- | --- | --- | --- |
| `name` | string | required | Name of this node. |
| `threads` | integer | `2` | Threads. |
| `log.format` | string | `"text"` | Format. One of `text`, `json`. |
| `log.color` | boolean | `false` | a\|b |
| `lease` | duration | `"6s"` | Lease. |
| `cache` | size | `"1GiB"` | Cache. |
| `model_roots` | list of strings | `["/a", "/b"]` | Roots. |
| `devices` | list of tables | none | Devices. |
| `devices[].type` | string | required | Kind. One of `cpu`. |
| `devices[].memory` | size | `"4GiB"` | Size. |
)");
}

}  // namespace
}  // namespace muster::config_test

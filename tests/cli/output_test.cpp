#include "cli/output.h"

#include "cli/text.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace muster::cli::output_test {
namespace {

Json answer() {
  return Json::parse(R"({"version":1,"items":[
{"kind":"rank","tenant":"search","deployment":"ranker","replica":0,"rank":5,"pid":7,"message":"a\u001b[31m\nb"},
{"kind":"gpu","name":"gpu02:5","type":"","holders":[],"share":0.5,"free":true,"none":null,"no":"no"}]})");
}

std::string rendered(std::string_view format) {
  auto parsed = parseOutputFormat(format);
  if (!parsed) return "(no format)";
  auto text = render(answer(), *parsed, "default");
  return text ? *text : toText(text.refusal().code);
}

TEST(Output, formats) {
  EXPECT_EQ(rendered("name"), "search/ranker/0/5\ngpu02:5\n");
  EXPECT_EQ(rendered("value=/items/0/pid"), "7\n");
  EXPECT_EQ(rendered("value=/items/1/holders"), "[]\n");
  EXPECT_EQ(rendered("value=/items/7"), "E0304");
  EXPECT_EQ(rendered("value=items"), "(no format)");
  EXPECT_EQ(rendered("jsn"), "(no format)");
  EXPECT_EQ(rendered("value=/items/0/message"), "a?[31m\nb\n");
  EXPECT_EQ(Json::parse(rendered("json")), answer());
  EXPECT_EQ(rendered("yaml"),
            "version: 1\n"
            "items:\n"
            "  - kind: rank\n"
            "    tenant: search\n"
            "    deployment: ranker\n"
            "    replica: 0\n"
            "    rank: 5\n"
            "    pid: 7\n"
            "    message: \"a\\u001b[31m\\nb\"\n"
            "  - kind: gpu\n"
            "    name: gpu02:5\n"
            "    type: \"\"\n"
            "    holders: []\n"
            "    share: 0.5\n"
            "    free: true\n"
            "    none: null\n"
            "    \"no\": \"no\"\n");
}

TEST(Output, jsonNeverHoldsRawControls) {
  Json odd{{"text",
            "a\x1b[2J\x7f\xc2\x9b"
            "31m\xff"}};
  std::string text = toJsonLine(odd);
  for (char c : text.substr(0, text.size() - 1)) EXPECT_GE(static_cast<unsigned char>(c), ' ');
  EXPECT_EQ(text.find('\x7f'), std::string::npos);
  EXPECT_EQ(text.find("\xc2\x9b"), std::string::npos);
  EXPECT_EQ(Json::parse(text).at("text").get<std::string>().substr(0, 8), "a\x1b[2J\x7f\xc2\x9b");
}

TEST(Output, textsFromServersCannotSteerATerminal) {
  EXPECT_EQ(printable("a\x1b[2Jb\x07\r"), "a?[2Jb??");
  EXPECT_EQ(printable("caf\xc3\xa9 \xe2\x82\xac"), "caf\xc3\xa9 \xe2\x82\xac");
  EXPECT_EQ(printable("\xc2\x9b"), "?");
  EXPECT_EQ(printable("bad \xff utf"), "bad ? utf");
  EXPECT_EQ(printable("\xe2\x80\xae"
                      "evil"),
            "?evil");
  EXPECT_EQ(printable("two\nlines\tx"), "two lines x");
  EXPECT_EQ(printable("two\nlines", LineBreaks::KEEP), "two\nlines");
  EXPECT_EQ(cutTo("caf\xc3\xa9 noir", 7), "caf\xc3\xa9...");
  EXPECT_EQ(cutTo("short", 7), "short");
  EXPECT_EQ(columnsOf("caf\xc3\xa9"), 4u);
}

TEST(Output, timesAreRead) {
  EXPECT_EQ(parseRfc3339("1970-01-02T00:00:00Z")->unixMs, 86'400'000);
  EXPECT_EQ(parseRfc3339("1970-01-01T00:00:01.250Z")->unixMs, 1250);
  EXPECT_FALSE(parseRfc3339("1970-01-01").has_value());
  EXPECT_FALSE(parseRfc3339("").has_value());
}

}  // namespace
}  // namespace muster::cli::output_test

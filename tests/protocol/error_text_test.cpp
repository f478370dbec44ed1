#include "protocol/error_text.h"

#include "protocol/deployment_yaml.h"
#include "tests/support/golden.h"

#include <gtest/gtest.h>

#include <string>

namespace muster::error_text_test {
namespace {

using testing::expectGolden;

std::string errorsOf(const std::string& yaml) {
  auto parsed = parseDeployments(yaml, "chat-70b.yaml");
  if (parsed) return "accepted\n";
  return toErrorText(parsed.refusal(), {"chat-70b.yaml"});
}

TEST(ErrorText, pointsAtTheUnknownField) {
  EXPECT_EQ(errorsOf("version: 1\nname: chat-70b\nmodel: file:/models/llama\nengine: native\n\n"
                     "paralell: {tp: 8}\n"),
            "error[E0104]: unknown field \"paralell\" in deployment chat-70b\n"
            "  --> chat-70b.yaml:6:1\n"
            "  6 | paralell: {tp: 8}\n"
            "    | ^^^^^^^^ did you mean \"parallel\"?\n"
            "  help: muster explain deployment\n");
}

TEST(ErrorText, showsEveryErrorOfAFile) {
  expectGolden("protocol/golden/errors_many.txt", errorsOf(R"(version: 2
name: Chat_70B
model: hf:meta-llama/Llama-3.3-70B-Instruct
engine: {kind: process, args: {max-num-seqs: 256, port: 8000}, env: {RANK: 1}}
paralell: {tp: 8}
parallel: {tp: eight, dp: 2}
gpu: {type: [H200], min_memory: 80}
replicas: yes
replicas: 2
autoscale: {min: 1, max: 4, metric: queue_depth}
timeouts: {ready: 30, stal: 2m}
placement:
  nodes: [gpu01, "GPU 02"]
  spread: zone
priority:
)"));
}

TEST(ErrorText, showsErrorsOfSyntax) {
  expectGolden("protocol/golden/errors_syntax.txt",
               errorsOf("version: 1\nname: chat\nmodel: [file:/m\n") + "\n" +
                   errorsOf("version: 1\n\tname: chat\n") + "\n" +
                   errorsOf("a: &x 1\nb: *x\nc: !!str 2\n") + "\n" + errorsOf("a: \"open\n") +
                   "\n" + errorsOf("name: \xff\n") + "\n" + errorsOf("") + "\n" +
                   errorsOf("name: \"\\e[31mred\"\n"));
}

TEST(ErrorText, cutsALongLineAroundThePlace) {
  std::string aliases(300, 'x');
  expectGolden("protocol/golden/errors_long_line.txt",
               errorsOf("{\"version\": 1, \"name\": \"chat\", \"model\": \"file:/" + aliases +
                        "\", \"paralell\": {\"tp\": 8}, \"rest\": \"" + aliases + "\"}"));
}

TEST(ErrorText, countsCharactersNotBytes) {
  EXPECT_EQ(errorsOf("version: 1\nname: a\nmodel: {source: \"file:/\xc3\xa4\xc3\xb6\", foo: 1}\n"),
            "error[E0104]: unknown field \"foo\" in model of deployment a\n"
            "  --> chat-70b.yaml:3:29\n"
            "  3 | model: {source: \"file:/\xc3\xa4\xc3\xb6\", foo: 1}\n"
            "    |                             ^^^\n"
            "  help: muster explain deployment\n");
}

TEST(ErrorText, writesARefusalWithoutAPlace) {
  Refusal refusal{RefusalCode::NO_LEADER,
                  "no coordinator of cluster prod leads",
                  {},
                  {"muster admin status", "muster ps --stale"}};
  EXPECT_EQ(toErrorText(refusal),
            "error[E0701]: no coordinator of cluster prod leads\n"
            "  help: muster admin status\n"
            "  help: muster ps --stale\n");
  InputError error{RefusalCode::INVALID_VALUE, "replicas", 0, 0, "replicas is -1",
                   "a number from 0 to 10000", ""};
  EXPECT_EQ(toErrorText({RefusalCode::INVALID_VALUE, "x", {error}, {}}),
            "error[E0105]: replicas is -1\n  a number from 0 to 10000\n");
}

TEST(ErrorText, colourOnlyRepeatsTheWords) {
  auto parsed = parseDeployments("version: 1\nname: a\nmodel: file:/m\nreplica: 2\n", "a.yaml");
  ASSERT_FALSE(parsed.ok());
  std::string coloured = toErrorText(parsed.refusal(), {"a.yaml", Colour::ON});
  std::string plain;
  for (size_t i = 0; i < coloured.size(); ++i) {
    if (coloured[i] == '\x1b') {
      i = coloured.find('m', i);
    } else {
      plain += coloured[i];
    }
  }
  EXPECT_NE(coloured, plain);
  EXPECT_EQ(plain, toErrorText(parsed.refusal(), {"a.yaml"}));
}

}  // namespace
}  // namespace muster::error_text_test

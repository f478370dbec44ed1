// What is read of a request's body, and what is refused.
#include "gateway/completion_request.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace muster::gateway::completion_request_test {
namespace {

class Completions : public ::testing::Test {
 protected:
  CompletionRequest readWell(const std::string& body) {
    auto read = reader_.read(body);
    if (auto* error = std::get_if<OpenAiError>(&read)) {
      ADD_FAILURE() << error->message;
      return {};
    }
    return std::get<CompletionRequest>(read);
  }
  // The code of the error; empty when it was read.
  std::string refusal(const std::string& body) {
    auto read = reader_.read(body);
    auto* error = std::get_if<OpenAiError>(&read);
    if (error == nullptr) return "";
    EXPECT_EQ(error->status, 400);
    EXPECT_EQ(error->type, "invalid_request_error");
    return error->code;
  }
  uint64_t prefix(const std::string& rest) {
    return readWell(R"({"model":"m",)" + rest + "}").prefix;
  }

  CompletionReader reader_{{.bytes = 64}};
};

TEST_F(Completions, readsModelAndStream) {
  auto one = readWell(R"({"messages":[],"model":"chat","temperature":0.5})");
  EXPECT_EQ(one.model, "chat");
  EXPECT_FALSE(one.stream);
  EXPECT_TRUE(readWell(R"( {"stream" : true, "model" : "a\u0062"} )").stream);
  EXPECT_EQ(readWell(R"({"model":"a\u0062"})").model, "ab");
}

TEST_F(Completions, refusesWhatIsNoJson) {
  for (const char* body : {"", "{", "[]x", "nul", "{\"model\":\"m\",}", "{\"model\":\"m\"} x",
                           "{\"model\":\"m\",\"x\":}", "{\"model\":\"\xff\"}", "\"model\"", "7"}) {
    EXPECT_EQ(refusal(body), "invalid_json") << body;
  }
}

TEST_F(Completions, refusesTwoModelsHoweverTheyAreSpelt) {
  EXPECT_EQ(refusal(R"({"model":"a","model":"b"})"), "duplicate_key");
  EXPECT_EQ(refusal(R"({"model":"a","model":"a"})"), "duplicate_key");
  EXPECT_EQ(refusal(R"({"model":"a","mod\u0065l":"b"})"), "duplicate_key");
  EXPECT_EQ(readWell(R"({"model":"a","x":{"model":"b"}})").model, "a");
}

TEST_F(Completions, refusesAModelThatIsNoName) {
  EXPECT_EQ(refusal("{}"), "missing_field");
  EXPECT_EQ(refusal(R"({"model":7})"), "invalid_type");
  EXPECT_EQ(refusal(R"({"model":null})"), "invalid_type");
  EXPECT_EQ(refusal(R"({"model":""})"), "invalid_type");
  EXPECT_EQ(refusal(R"({"model":")" + std::string(300, 'x') + "\"}"), "invalid_value");
}

TEST_F(Completions, laterTurnsOfAConversationHaveThePrefixOfTheFirst) {
  std::string first =
      R"("messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"})";
  uint64_t one = prefix(first + "]");
  EXPECT_EQ(
      prefix(first + R"(,{"role":"assistant","content":"Yes?"},{"role":"user","content":"No"}])"),
      one);
  EXPECT_NE(
      prefix(
          R"("messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Ho"}])"),
      one);
  EXPECT_NE(prefix(R"("messages":[{"role":"user","content":"Hi"}])"), one);
}

TEST_F(Completions, onlyTheFirstBytesCount) {
  std::string start(64, 'a');
  EXPECT_EQ(prefix("\"prompt\":\"" + start + "x\""), prefix("\"prompt\":\"" + start + "y\""));
  EXPECT_NE(prefix("\"prompt\":\"x\""), prefix("\"prompt\":\"y\""));
  EXPECT_NE(prefix("\"prompt\":[1,2]"), prefix("\"prompt\":[1,3]"));
  EXPECT_NE(prefix("\"input\":\"x\""), prefix("\"input\":\"y\""));
}

TEST_F(Completions, strangePromptsAreTheReplicasBusiness) {
  for (const char* rest :
       {"\"messages\":7", "\"messages\":[7,{}]", "\"messages\":[{\"role\":1}]", "\"prompt\":null",
        "\"messages\":[{\"role\":\"user\",\"content\":[{}]}]"}) {
    EXPECT_EQ(refusal(std::string(R"({"model":"m",)") + rest + "}"), "") << rest;
  }
}

TEST(WithModel, changesTheModelAndNothingElse) {
  struct Case {
    const char* before;
    const char* after;
  };
  const Case cases[] = {
      {R"({"model":"gpt","x":1})", R"({"model":"chat","x":1})"},
      {R"({ "x" : {"model":"gpt"} , "model" : "gpt" , "y":"\"model\":\"gpt\"" })",
       R"({ "x" : {"model":"gpt"} , "model" : "chat" , "y":"\"model\":\"gpt\"" })"},
      {"{\"model\":\"g\\\"\\\\pt\"\n}", "{\"model\":\"chat\"\n}"},
      {R"({"big":12345678901234567890123,"model":"gpt"})",
       R"({"big":12345678901234567890123,"model":"chat"})"},
  };
  for (const auto& c : cases) {
    auto changed = withModel(c.before, "chat");
    ASSERT_TRUE(changed.has_value()) << c.before;
    EXPECT_EQ(*changed, c.after);
  }
}

TEST(WithModel, escapesTheNameAndGivesUpOnAnEscapedKey) {
  auto changed = withModel(R"({"model":"x"})", "a\"b");
  EXPECT_EQ(nlohmann::json::parse(*changed)["model"], "a\"b");
  EXPECT_EQ(withModel(R"({"mod\u0065l":"x"})", "y"), std::nullopt);
}

}  // namespace
}  // namespace muster::gateway::completion_request_test

// What comes with a request over HTTP is read strictly.
#include "coordinator/http_body.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::coordinator::http_body_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<BodyField> FIELDS = {
    {"replicas", BodyField::NUMBER, true}, {"reason", BodyField::TEXT}, {"force", BodyField::FLAG}};

TEST(HttpBody, takesTheFieldsThatAreKnown) {
  auto body = readBody(R"({"replicas": 3, "reason": "load", "force": true})", FIELDS);
  ASSERT_TRUE(body.ok());
  EXPECT_EQ((*body)["replicas"], 3);
  EXPECT_TRUE(readBody("", {{"reason", BodyField::TEXT}}).ok());  // nothing is an empty object
}

TEST(HttpBody, refusesByName) {
  struct Case {
    const char* body;
    RefusalCode code;
    const char* text;
  };
  const Case CASES[] = {
      {"", RefusalCode::MISSING_FIELD, "the body lacks \"replicas\""},
      {"[]", RefusalCode::INVALID_SYNTAX, "a JSON object"},
      {"{", RefusalCode::INVALID_SYNTAX, "a JSON object"},
      {"{\"replica\": 3}", RefusalCode::UNKNOWN_FIELD, "did you mean \"replicas\"?"},
      {"{\"replicas\": -1}", RefusalCode::INVALID_VALUE, "replicas is -1"},
      {"{\"replicas\": 1.5}", RefusalCode::INVALID_VALUE, "a whole number"},
      {"{\"replicas\": 4294967296}", RefusalCode::INVALID_VALUE, "a whole number"},
      {"{\"replicas\": \"3\"}", RefusalCode::INVALID_VALUE, "a whole number"},
      {"{\"replicas\": 3, \"reason\": 1}", RefusalCode::INVALID_VALUE, "must be a text"},
      {"{\"replicas\": 3, \"force\": \"yes\"}", RefusalCode::INVALID_VALUE, "true or false"},
  };
  for (const Case& c : CASES) {
    SCOPED_TRACE(c.body);
    auto body = readBody(c.body, FIELDS);
    ASSERT_FALSE(body.ok());
    EXPECT_EQ(body.refusal().code, c.code);
    EXPECT_THAT(body.refusal().text, HasSubstr(c.text));
  }
}

TEST(HttpBody, tellsAPlansIdFromDocuments) {
  EXPECT_EQ(planIdIn(R"({"plan": "p-7f3a"})").value(), "p-7f3a");
  EXPECT_EQ(planIdIn("version: 1\nname: chat\n").value(), "");
  EXPECT_EQ(planIdIn(R"({"version": 1, "name": "chat"})").value(), "");
  EXPECT_FALSE(planIdIn(R"({"plan": "p-7f3a", "name": "chat"})").ok());
  EXPECT_FALSE(planIdIn(R"({"plan": 7})").ok());
}

TEST(HttpBody, readsFlagsAndRevisions) {
  EXPECT_FALSE(flagIn({}, "dry_run").value());
  EXPECT_FALSE(flagIn({{"dry_run", "false"}}, "dry_run").value());
  EXPECT_TRUE(flagIn({{"dry_run", "true"}}, "dry_run").value());
  EXPECT_FALSE(flagIn({{"dry_run", "yes"}}, "dry_run").ok());
  EXPECT_EQ(revisionIn("\"8\"").value(), Revision{8});
  EXPECT_EQ(revisionIn("8").value(), Revision{8});
  for (const char* wrong : {"", "\"\"", "0", "*", "W/\"8\"", "8a"}) {
    EXPECT_FALSE(revisionIn(wrong).ok()) << wrong;
  }
}

TEST(HttpBody, matchesWholePaths) {
  EXPECT_THAT(*matchPath("/a/{}/{}/scale", "/a/default/chat/scale"),
              ElementsAre("default", "chat"));
  for (const char* other : {"/a/default/chat", "/a/default//scale", "/a/default/chat/scale/",
                            "/a/default/chat/scal", "/b/default/chat/scale"}) {
    EXPECT_FALSE(matchPath("/a/{}/{}/scale", other)) << other;
  }
}

}  // namespace
}  // namespace muster::coordinator::http_body_test

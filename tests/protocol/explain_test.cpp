#include "protocol/explain.h"

#include "protocol/deployment_fields.h"
#include "tests/support/golden.h"

#include <gtest/gtest.h>

#include <string>

namespace muster::explain_test {
namespace {

TEST(Explain, printsEveryFieldOfADeployment) {
  auto page = explain("deployment");
  ASSERT_TRUE(page.ok());
  testing::expectGolden("protocol/golden/explain_deployment.txt", *page);
  for (const FieldRow& row : deploymentFields()) {
    EXPECT_NE(page->find(std::string(row.path)), std::string::npos) << row.path;
  }
}

TEST(Explain, printsOneFieldWithItsParts) {
  EXPECT_EQ(*explain("replicas"),
            "replicas\n"
            "  independent copies. Changed in place\n"
            "  form: number, 0 to 10000\n"
            "  default: 1\n");
  auto engine = explain("engine");
  ASSERT_TRUE(engine.ok());
  EXPECT_NE(engine->find("engine.ready.http"), std::string::npos);
  EXPECT_EQ(engine->find("placement"), std::string::npos);
  EXPECT_EQ(*explain("tp"), *explain("parallel.tp"));
  EXPECT_NE(explain("ready")->find("timeouts.ready"), std::string::npos);
  EXPECT_NE(explain("slo")->find("(not supported yet)"), std::string::npos);
}

TEST(Explain, printsThePageOfEachCode) {
  for (const RefusalInfo& info : allRefusals()) {
    auto page = explain(toText(info.code));
    ASSERT_TRUE(page.ok());
    EXPECT_TRUE(page->starts_with(toText(info.code)));
    EXPECT_NE(page->find(std::string(info.page)), std::string::npos);
  }
}

TEST(Explain, suggestsForUnknownWords) {
  auto unknown = explain("paralel");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.refusal().code, RefusalCode::NOT_FOUND);
  EXPECT_EQ(unknown.refusal().text,
            "there is no field and no error code \"paralel\": did you mean \"parallel\"?");
  EXPECT_FALSE(explain("").ok());
  EXPECT_FALSE(explain(std::string(1000, 'x')).ok());
  EXPECT_FALSE(explain("E9999").ok());
}

}  // namespace
}  // namespace muster::explain_test

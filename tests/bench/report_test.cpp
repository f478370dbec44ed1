#include "bench/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <kj/exception.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>

namespace muster::bench::report_test {
namespace {

TEST(Report, isOneJsonLineWithFiguresBudgetsAndMachine) {
  Report report("failover");
  report.budget("p50_ms", "<= 25").figure("p50_ms", 11.5).figure("runs", 1000);
  const std::string line = report.line();
  EXPECT_THAT(line, testing::Not(testing::HasSubstr("\n")));
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["name"], "failover");
  EXPECT_EQ(json["p50_ms"], 11.5);
  EXPECT_THAT(line, testing::HasSubstr("\"runs\":1000,"));
  EXPECT_EQ(json["budget"], nlohmann::json({{"p50_ms", "<= 25"}}));
  EXPECT_EQ(json["ok"], true);
  EXPECT_GE(json["machine"]["cores"], 1);
  EXPECT_GT(json["machine"]["memory_bytes"], 1 << 20);
}

TEST(Report, gathersTheFieldsOfAnObject) {
  Report report("failover");
  report.figure("parts.elected_ms", 2).figure("p50_ms", 11.5).figure("parts.caught_up_ms", 3.5);
  const auto json = nlohmann::json::parse(report.line());
  EXPECT_EQ(json["parts"], nlohmann::json({{"elected_ms", 2}, {"caught_up_ms", 3.5}}));
}

TEST(Report, isOkOnlyWhenEveryBudgetedFieldWasMeasuredAndMet) {
  struct Case {
    const char* name;
    const char* bound;
    double value;
    bool ok;
  };
  const Case cases[] = {
      {"below", "<= 25", 24, true},
      {"at the bound", "<= 25", 25, true},
      {"above", "<= 25", 25.1, false},
      {"enough", ">= 2e5", 200000, true},
      {"too little", ">= 2e5", 1, false},
      {"strictly less", "< 1", 1, false},
      {"strictly more", "> 1", 2, true},
      {"none failed", "== 0", 0, true},
      {"one failed", "== 0", 1, false},
      {"not a number", "<= 25", std::nan(""), false},
      {"infinite", ">= 1", std::numeric_limits<double>::infinity(), false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Report report("x");
    report.budget("field", c.bound).figure("field", c.value);
    EXPECT_EQ(report.ok(), c.ok);
    EXPECT_EQ(report.print(), c.ok ? 0 : 1);
  }
}

TEST(Report, leavesOutWhatWasNotMeasured) {
  Report report("x");
  report.budget("a_ms", "<= 1").budget("b_ms", "<= 1").figure("a_ms", 0.5);
  EXPECT_FALSE(report.ok());
  const auto json = nlohmann::json::parse(report.line());
  EXPECT_FALSE(json.contains("b_ms"));
  EXPECT_EQ(json["budget"]["b_ms"], "<= 1");
}

TEST(Report, refusesMistakesOfTheBenchmark) {
  Report report("x");
  report.figure("a", 1);
  EXPECT_THROW(report.figure("a", 2), kj::Exception);
  EXPECT_THROW(report.figure("ok", 1), kj::Exception);
  for (const char* bound : {"", "25", "<=", "=< 25", "<= 25 ms", "about 25"}) {
    EXPECT_THROW(report.budget("a", bound), kj::Exception) << bound;
  }
}

TEST(Percentile, isTheNearestRank) {
  std::vector<double> values;
  for (int i = 100; i >= 1; --i) values.push_back(i);
  EXPECT_EQ(percentile(values, 0.5), 50);
  EXPECT_EQ(percentile(values, 0.99), 99);
  EXPECT_EQ(percentile(values, 1), 100);
  EXPECT_EQ(percentile({7}, 0.01), 7);
  EXPECT_THROW(percentile({}, 0.5), kj::Exception);
}

}  // namespace
}  // namespace muster::bench::report_test

#include "base/refusal_code.h"

#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

namespace muster::refusal_code_test {
namespace {

// The enumerators as the header lists them: the table cannot forget one that this finds.
std::set<unsigned> codesOfTheHeader() {
  std::ifstream file(std::string(MUSTER_SOURCE_DIR) + "/base/refusal_code.h");
  std::stringstream text;
  text << file.rdbuf();
  std::set<unsigned> codes;
  std::string content = text.str();
  const std::regex ENUMERATOR(R"(\n  [A-Z_]+ =\s+(\d+),)");
  for (std::sregex_iterator at(content.begin(), content.end(), ENUMERATOR), end; at != end; ++at) {
    codes.insert(static_cast<unsigned>(std::stoul((*at)[1])));
  }
  return codes;
}

TEST(RefusalCode, everyEnumeratorHasExactlyOneRow) {
  auto expected = codesOfTheHeader();
  ASSERT_GT(expected.size(), 40u);
  std::set<unsigned> seen;
  std::set<std::string_view> titles;
  for (const auto& row : allRefusals()) {
    EXPECT_TRUE(seen.insert(static_cast<unsigned>(row.code)).second) << toText(row.code);
    EXPECT_TRUE(titles.insert(row.title).second) << row.title;
  }
  EXPECT_EQ(seen, expected);
}

TEST(RefusalCode, everyRowSaysWhatToDoNext) {
  for (const auto& row : allRefusals()) {
    SCOPED_TRACE(toText(row.code));
    EXPECT_FALSE(row.title.empty());
    EXPECT_GT(row.page.size(), 60u);
    EXPECT_NE(row.page.find("next: "), std::string_view::npos);
    EXPECT_EQ(row.page.find('!'), std::string_view::npos);
    EXPECT_NE(row.page.back(), '\n');
    EXPECT_EQ(&refusalInfo(row.code), &row);
    EXPECT_EQ(parseRefusalCode(toText(row.code)), row.code);
  }
}

TEST(RefusalCode, exitCodesFollowTheClass) {
  struct Case {
    RefusalCode code;
    int exitCode;
    int httpStatus;
    bool retryable;
  };
  const Case CASES[] = {
      {RefusalCode::UNKNOWN_FIELD, 3, 400, false},
      {RefusalCode::MODEL_NOT_FOUND, 3, 400, false},
      {RefusalCode::NOT_AUTHENTICATED, 6, 401, false},
      {RefusalCode::NOT_ALLOWED, 6, 403, false},
      {RefusalCode::REVISION_CONFLICT, 5, 409, false},
      {RefusalCode::PLAN_UNKNOWN, 5, 409, false},
      {RefusalCode::NOT_FOUND, 4, 404, false},
      {RefusalCode::WAITING_FOR_CAPACITY, 8, 422, true},
      {RefusalCode::NO_WORKER, 8, 422, true},
      {RefusalCode::DISRUPTION_BLOCKED, 1, 409, true},
      {RefusalCode::NODE_LOST, 1, 503, true},
      {RefusalCode::ENGINE_EXITED, 1, 500, true},
      {RefusalCode::NO_LEADER, 7, 503, true},
      {RefusalCode::HISTORY_MISMATCH, 7, 503, false},
      {RefusalCode::TIMED_OUT, 9, 504, true},
      {RefusalCode::PORT_IN_USE, 1, 500, true},
      {RefusalCode::INTERNAL, 12, 500, false},
  };
  for (const auto& c : CASES) {
    SCOPED_TRACE(toText(c.code));
    const auto& info = refusalInfo(c.code);
    EXPECT_EQ(info.exitCode, c.exitCode);
    EXPECT_EQ(info.httpStatus, c.httpStatus);
    EXPECT_EQ(info.retryable, c.retryable);
  }
}

TEST(RefusalCode, textIsReadStrictly) {
  EXPECT_EQ(toText(RefusalCode::WAITING_FOR_CAPACITY), "E0401");
  EXPECT_EQ(parseRefusalCode("e0401"), RefusalCode::WAITING_FOR_CAPACITY);
  for (const char* wrong :
       {"", "E", "0401", "E401", "E04011", "E04x1", "E0999", "E0000", "F0401"}) {
    EXPECT_EQ(parseRefusalCode(wrong), std::nullopt) << wrong;
  }
}

TEST(RefusalCode, aCodeOfANewerPeerIsInternal) {
  EXPECT_EQ(refusalInfo(static_cast<RefusalCode>(7999)).code, RefusalCode::INTERNAL);
}

}  // namespace
}  // namespace muster::refusal_code_test

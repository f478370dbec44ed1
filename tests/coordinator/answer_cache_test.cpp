#include "coordinator/answer_cache.h"

#include <gtest/gtest.h>

#include <string>

namespace muster::coordinator::answer_cache_test {
namespace {

class AnswerCacheTest : public testing::Test {
 public:
  ~AnswerCacheTest() noexcept override = default;

 protected:
  std::string ask(const std::string& question = "deployments chat") {
    return *cache.get(question, origin,
                      [this]() -> Result<std::string> { return "made " + std::to_string(++made); });
  }

  AnswerCache cache;
  AnswerCache::Origin origin{{1, {2, 3}}, {4}, {100}, {1'000'000'000}};
  int made = 0;
};

TEST_F(AnswerCacheTest, makesATextOnceForOneState) {
  EXPECT_EQ(ask(), "made 1");
  EXPECT_EQ(ask(), "made 1");
  EXPECT_EQ(ask("deployments code"), "made 2");
  EXPECT_EQ(ask(), "made 1");
}

TEST_F(AnswerCacheTest, forgetsATextWithTheStateThatItWasMadeFrom) {
  const std::pair<const char*, AnswerCache::Origin> CASES[] = {
      {"a later index", {{1, {2, 3}}, {4}, {101}, origin.time}},
      // What a leader had in flight may be something else under the next one.
      {"the same index of another epoch", {{1, {2, 3}}, {5}, {100}, origin.time}},
      {"the same index of another history", {{2, {2, 3}}, {4}, {100}, origin.time}},
      {"later than what workers say is good for",
       {{1, {2, 3}}, {4}, {100}, origin.time + AnswerCache::OBSERVED_FOR}},
      {"a clock that went back", {{1, {2, 3}}, {4}, {100}, origin.time - Duration{1}}},
  };
  for (const auto& [name, other] : CASES) {
    SCOPED_TRACE(name);
    AnswerCache::Origin before = origin;
    std::string text = ask();
    origin = other;
    EXPECT_NE(ask(), text);
    origin = before;
  }
}

TEST_F(AnswerCacheTest, keepsATextWhileOnlyALittleTimeGoesBy) {
  std::string text = ask();
  origin.time = origin.time + AnswerCache::OBSERVED_FOR - Duration{1};
  EXPECT_EQ(ask(), text);
}

TEST_F(AnswerCacheTest, keepsNeitherRefusalsNorLongTexts) {
  auto refuse = []() -> Result<std::string> { return Refusal{RefusalCode::NOT_FOUND, "none"}; };
  EXPECT_FALSE(cache.get("deployments chat", origin, refuse).ok());
  EXPECT_EQ(ask(), "made 1");
  auto longText = [this]() -> Result<std::string> {
    made++;
    return std::string(AnswerCache::TEXT_BYTES_MAX + 1, 'x');
  };
  static_cast<void>(cache.get("nodes", origin, longText));
  static_cast<void>(cache.get("nodes", origin, longText));
  EXPECT_EQ(made, 3);
}

TEST_F(AnswerCacheTest, keepsABoundedNumber) {
  for (size_t i = 0; i < 3 * AnswerCache::TEXTS_MAX; i++) ask("question " + std::to_string(i));
  EXPECT_EQ(ask("question " + std::to_string(3 * AnswerCache::TEXTS_MAX - 1)),
            "made " + std::to_string(3 * AnswerCache::TEXTS_MAX));
  EXPECT_EQ(ask("question 0"), "made " + std::to_string(3 * AnswerCache::TEXTS_MAX + 1));
}

}  // namespace
}  // namespace muster::coordinator::answer_cache_test

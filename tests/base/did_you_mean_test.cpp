#include "base/did_you_mean.h"

#include <gtest/gtest.h>

namespace muster::did_you_mean_test {
namespace {

TEST(DidYouMean, countsSwapsAsOneChange) {
  struct Case {
    const char* a;
    const char* b;
    size_t distance;
  };
  const Case CASES[] = {{"", "", 0},
                        {"", "abc", 3},
                        {"abc", "", 3},
                        {"same", "same", 0},
                        {"paralell", "parallel", 1},
                        {"acb", "abc", 1},
                        {"replcias", "replicas", 1},
                        {"kitten", "sitting", 3},
                        {"ca", "abc", 3}};
  for (const auto& c : CASES) {
    SCOPED_TRACE(std::string(c.a) + " -> " + c.b);
    EXPECT_EQ(editDistance(c.a, c.b), c.distance);
    EXPECT_EQ(editDistance(c.b, c.a), c.distance);
  }
}

TEST(DidYouMean, suggestsTheNearestAndOnlyWhatIsLikely) {
  const std::vector<std::string> FIELDS = {"model",    "parallel", "placement",
                                           "replicas", "tp",       "pp"};
  EXPECT_EQ(didYouMean("paralell", FIELDS), "did you mean \"parallel\"?");
  EXPECT_EQ(nearestWord("modle", FIELDS), "model");
  EXPECT_EQ(nearestWord("replica", FIELDS), "replicas");
  EXPECT_EQ(nearestWord("tpp", FIELDS), "tp");  // the first of equals
  EXPECT_EQ(nearestWord("zzz", FIELDS), std::nullopt);
  EXPECT_EQ(nearestWord("", FIELDS), std::nullopt);
  EXPECT_EQ(nearestWord("x", {"y"}), std::nullopt);
  EXPECT_EQ(didYouMean("anything", {}), "");
}

}  // namespace
}  // namespace muster::did_you_mean_test

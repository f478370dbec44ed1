#include "base/units.h"

#include "base/ids.h"
#include "base/random.h"

#include <gtest/gtest.h>

namespace muster::units_test {
namespace {

TEST(Units, readsSizesAndDurations) {
  EXPECT_EQ(parseBytes("80GiB"), 80_GiB);
  EXPECT_EQ(parseBytes("1.5GiB"), 1536_MiB);
  EXPECT_EQ(parseBytes("0B"), 0_B);
  EXPECT_EQ(parseDuration("250ms"), 250_ms);
  EXPECT_EQ(parseDuration("2h"), 120_min);
  EXPECT_EQ(parseDuration("3d"), Duration(60_min * 72));
  EXPECT_EQ(parseDuration("5m"), 5_min);
}

TEST(Units, refusesWhatIsNoQuantity) {
  for (const char* wrong : {"", "80", "GiB", "-1GiB", "80 GiB", "80GB", "80gib", "1e3GiB", "0x1B",
                            "99999999TiB", "80GiB ", ".5GiB", "nanB", "1.2.3GiB"}) {
    EXPECT_EQ(parseBytes(wrong), std::nullopt) << wrong;
  }
  for (const char* wrong : {"", "5", "s", "-5s", "5 s", "5min", "5S", "1e9s", "99999999999d"}) {
    EXPECT_EQ(parseDuration(wrong), std::nullopt) << wrong;
  }
}

TEST(Units, exactTextReadsBackToTheSameValue) {
  SeededRandom random(7);
  for (int i = 0; i < 1000; ++i) {
    Bytes bytes{random.below(1ull << 50)};
    EXPECT_EQ(parseBytes(toText(bytes)), bytes) << bytes.count;
    Duration duration{static_cast<int64_t>(random.below(1ull << 40)) * 1'000'000};
    EXPECT_EQ(parseDuration(toText(duration)), duration) << duration.nanos;
  }
  EXPECT_EQ(toText(Bytes{0}), "0B");
  EXPECT_EQ(toText(Duration{0}), "0ms");
  EXPECT_EQ(toText(1536_MiB), "1536MiB");
  EXPECT_EQ(toText(90_s), "90s");
}

TEST(Units, writesForPeople) {
  EXPECT_EQ(toShortText(Bytes{76665323725}), "71.4 GiB");
  EXPECT_EQ(toShortText(17_B), "17 B");
  EXPECT_EQ(toAge(160_s), "2m40s");
  EXPECT_EQ(toAge(60_min * 2), "2h");
  EXPECT_EQ(toAge(Duration{-5}), "0s");
  EXPECT_EQ(toAge(60_min * (5 * 24)), "5d");
  EXPECT_EQ(toRfc3339(WallTime{1924992245678}), "2031-01-01T00:04:05.678Z");
}

TEST(Ids, compareWithTheirOwnKindOnly) {
  EXPECT_LT(Epoch{1}, Epoch{1}.next());
  FencingToken old{{1, {0, 9}}, {7}};
  FencingToken restored{{2, {0, 1}}, {1}};
  EXPECT_LT(old, restored);
  EXPECT_EQ(toText(Guid{0x1, 0xabcdefull}), "00000000000000010000000000abcdef");
  EXPECT_TRUE(Guid{}.isNull());
}

TEST(Random, isEqualForEqualSeedsAndStaysBelowTheLimit) {
  SeededRandom a(42);
  SeededRandom b(42);
  SeededRandom c(43);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    uint64_t x = a.next();
    EXPECT_EQ(x, b.next());
    differs |= x != c.next();
  }
  EXPECT_TRUE(differs);
  std::array<int, 5> seen{};
  for (int i = 0; i < 500; ++i) ++seen.at(a.below(5));
  for (int count : seen) EXPECT_GT(count, 50);
  EXPECT_EQ(a.below(1), 0u);
}

}  // namespace
}  // namespace muster::units_test

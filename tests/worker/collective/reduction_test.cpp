#include "worker/collective/reduction.h"

#include <gtest/gtest.h>

#include <vector>

namespace muster::worker::reduction_test {
namespace {

TEST(PartOf, coversEveryElementOnceInWholeCacheLines) {
  for (uint64_t total : {0, 1, 15, 16, 17, 1000, 65536, 65537}) {
    for (uint32_t members : {1, 2, 3, 7, 64}) {
      uint64_t next = 0;
      for (uint32_t member = 0; member < members; ++member) {
        Part part = partOf(total, member, members);
        EXPECT_EQ(part.begin, next);
        EXPECT_TRUE(part.count == 0 || part.begin % 16 == 0) << part.begin;
        next = part.begin + part.count;
      }
      EXPECT_EQ(next, total) << total << " over " << members;
    }
  }
}

TEST(SumInOrder, addsTheFirstMembersFirst) {
  // In float, 1e8 + 1 - 1e8 is 0 from the left and 1 in any order that meets the large ones first.
  std::vector<std::vector<float>> values(3, std::vector<float>(700));
  for (size_t i = 0; i < 700; ++i) {
    values[0][i] = 1e8f;
    values[1][i] = 1.0f;
    values[2][i] = -1e8f;
  }
  std::vector<float> sum(700, 5.0f);
  sumInOrder(sum, 3, [&](uint32_t member) { return values[member].data(); });
  EXPECT_EQ(sum, std::vector<float>(700, 0.0f));
}

TEST(SumInOrder, mayOverwriteOneOfItsInputs) {
  std::vector<float> own(1000, 2.0f);
  std::vector<float> other(1000, 3.0f);
  sumInOrder(own, 2, [&](uint32_t member) { return member == 1 ? own.data() : other.data(); });
  EXPECT_EQ(own, std::vector<float>(1000, 5.0f));
}

}  // namespace
}  // namespace muster::worker::reduction_test

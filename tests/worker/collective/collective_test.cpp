// What every communicator promises, over shared memory and over TCP.
#include "worker/collective/collective.h"

#include "base/random.h"
#include "tests/worker/collective/members.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

namespace muster::worker::collective_test {
namespace {

using testing::Each;
using testing::HasSubstr;

// Values whose sum depends on the order of addition.
std::vector<float> valuesOf(uint32_t rank, size_t count) {
  SeededRandom random(1000 + rank);
  std::vector<float> values(count);
  for (auto& value : values) {
    value = static_cast<float>(static_cast<int64_t>(random.next())) * 0x1p-60f;
  }
  return values;
}

std::vector<float> sumInRankOrder(uint32_t ranks, size_t count) {
  std::vector<float> sum = valuesOf(0, count);
  for (uint32_t rank = 1; rank < ranks; ++rank) {
    auto values = valuesOf(rank, count);
    for (size_t i = 0; i < count; ++i) sum[i] += values[i];
  }
  return sum;
}

bool sameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<std::byte> bytesOf(uint32_t rank, size_t count) {
  std::vector<std::byte> bytes(count);
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(rank * 31 + i * 7);
  return bytes;
}

// One element, less than a cache line, odd, one buffer, several buffers.
constexpr size_t SIZES[] = {1, 5, 1000, 4096, 16384, 65536 + 3, 300001};

class CollectiveTest : public testing::TestWithParam<std::tuple<Via, uint32_t>> {
 protected:
  ~CollectiveTest() noexcept override {}
  CollectiveTest() : members_(std::get<0>(GetParam()), std::get<1>(GetParam())) {}
  uint32_t count() const { return members_.size(); }
  Members members_;
};

TEST_P(CollectiveTest, aSumIsAddedInTheOrderOfRanksEverywhere) {
  for (size_t size : SIZES) {
    SCOPED_TRACE(size);
    std::vector<std::vector<float>> sums(count());
    members_.runAll([&](Collective& collective) {
      auto& values = sums[collective.rank()];
      values = valuesOf(collective.rank(), size);
      collective.allReduceSum(values);
    });
    auto wanted = sumInRankOrder(count(), size);
    for (const auto& sum : sums) EXPECT_TRUE(sameBits(sum, wanted));
  }
}

TEST_P(CollectiveTest, gatheredPiecesLieInTheOrderOfRanks) {
  for (size_t size : SIZES) {
    SCOPED_TRACE(size);
    std::vector<std::byte> wanted;
    for (uint32_t rank = 0; rank < count(); ++rank) {
      auto piece = bytesOf(rank, size);
      wanted.insert(wanted.end(), piece.begin(), piece.end());
    }
    members_.runAll([&](Collective& collective) {
      std::vector<std::byte> all(size * count());
      collective.allGather(bytesOf(collective.rank(), size), all);
      EXPECT_EQ(all, wanted);
    });
  }
}

TEST_P(CollectiveTest, everybodyGetsTheBytesOfTheRoot) {
  for (size_t size : SIZES) {
    for (uint32_t root = 0; root < count(); ++root) {
      members_.runAll([&](Collective& collective) {
        auto bytes = bytesOf(collective.rank(), size);
        collective.broadcast(bytes, root);
        EXPECT_EQ(bytes, bytesOf(root, size));
      });
    }
  }
}

TEST_P(CollectiveTest, messagesPassAlongTheRanks) {
  for (size_t size : SIZES) {
    members_.runAll([&](Collective& collective) {
      std::vector<std::byte> bytes = bytesOf(99, size);
      if (collective.rank() > 0) {
        std::fill(bytes.begin(), bytes.end(), std::byte{0});
        collective.receive(bytes, collective.rank() - 1);
      }
      if (collective.rank() + 1 < collective.size()) collective.send(bytes, collective.rank() + 1);
      EXPECT_EQ(bytes, bytesOf(99, size));
    });
  }
}

// Ranks drift apart by up to a buffer's half: whatever comes next must not overwrite what a slower
// rank still reads.
TEST_P(CollectiveTest, anyMixOfOperationsGivesTheSameAsOneRankWould) {
  members_.runAll([&](Collective& collective) {
    SeededRandom plan(42);  // the same at every rank
    for (int step = 0; step < 200; ++step) {
      size_t size = 1 + plan.below(20000);
      auto root = static_cast<uint32_t>(plan.below(count()));
      if (plan.below(2) == 0) {
        auto values = valuesOf(collective.rank(), size);
        collective.allReduceSum(values);
        ASSERT_TRUE(sameBits(values, sumInRankOrder(count(), size))) << "step " << step;
      } else {
        auto bytes = bytesOf(collective.rank() + static_cast<uint32_t>(step), size);
        collective.broadcast(bytes, root);
        ASSERT_EQ(bytes, bytesOf(root + static_cast<uint32_t>(step), size)) << "step " << step;
      }
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Transports, CollectiveTest,
                         testing::Combine(testing::Values(Via::SHARED_MEMORY, Via::TCP),
                                          testing::Values(1, 2, 3, 4)),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param) == Via::TCP ? "tcp"
                                                                                  : "shared") +
                                  std::to_string(std::get<1>(info.param));
                         });

class CollectiveFaultTest : public testing::TestWithParam<Via> {
 protected:
  static void sum(Collective& collective) {
    std::vector<float> values(16, 1.0f);
    collective.allReduceSum(values);
  }
};

TEST_P(CollectiveFaultTest, aRankThatDoesNotComeIsNamedWithTheOperation) {
  Members members(GetParam(), 3, 200_ms);
  auto errors = members.run({0, 1}, sum);
  EXPECT_THAT(errors, testing::Contains("the group: rank 2 did not take part in all-reduce of 64 "
                                        "bytes within 200ms"));
  EXPECT_THAT(errors, testing::Not(testing::Contains("")));
}

TEST_P(CollectiveFaultTest, abortWakesAllWhoWait) {
  Members members(GetParam(), 3);
  std::thread aborter([&] { members[0].abort("the leader ends this generation"); });
  auto errors = members.run({0, 1}, sum);
  aborter.join();
  EXPECT_EQ(errors[0], "the group: rank 0 gave up: the leader ends this generation");
  EXPECT_NE(errors[1], "");
}

TEST_P(CollectiveFaultTest, aBrokenCommunicatorStaysBroken) {
  Members members(GetParam(), 2);
  members[0].abort("enough");
  EXPECT_THAT(members.run({0, 1}, sum), Each(testing::Ne("")));
  EXPECT_THAT(members.run({0}, sum), Each(HasSubstr("enough")));
  EXPECT_THAT(members.run({0}, [](Collective& one) { one.send(bytesOf(0, 4), 1); }),
              Each(HasSubstr("enough")));
}

TEST_P(CollectiveFaultTest, membersThatDoUnlikeThingsAreToldApart) {
  Members members(GetParam(), 2, 2_s);
  auto errors = members.run({0, 1}, [](Collective& collective) {
    std::vector<float> values(collective.rank() == 0 ? 16 : 8, 1.0f);
    collective.allReduceSum(values);
  });
  EXPECT_THAT(errors, testing::Not(testing::Contains("")));
}

TEST_P(CollectiveFaultTest, aMessageThatNobodyTakesEndsByTheDeadline) {
  Members members(GetParam(), 2, 200_ms);
  std::vector<std::byte> large(8 << 20);
  auto errors = members.run({0}, [&](Collective& collective) { collective.send(large, 1); });
  EXPECT_EQ(errors[0], "the group: rank 1 did not take part in send of 8388608 bytes within 200ms");
}

INSTANTIATE_TEST_SUITE_P(Transports, CollectiveFaultTest,
                         testing::Values(Via::SHARED_MEMORY, Via::TCP), [](const auto& info) {
                           return std::string(info.param == Via::TCP ? "tcp" : "shared");
                         });

TEST(TcpCollective, aConnectionThatClosesNamesItsRank) {
  Members members(Via::TCP, 2);
  members.leave(1);
  auto errors = members.run({0}, [](Collective& collective) {
    std::vector<std::byte> bytes(4);
    collective.receive(bytes, 1);
  });
  EXPECT_EQ(errors[0], "the group: rank 1 closed its connection");
}

TEST(TcpCollective, garbageIsNotTakenForAMessage) {
  Members members(Via::TCP, 2);
  std::string garbage(200, 'x');
  ASSERT_EQ(::send(members.mesh(1).connectionTo({0}), garbage.data(), garbage.size(), 0), 200);
  auto errors = members.run({0}, [](Collective& collective) {
    std::vector<std::byte> bytes(64);
    collective.receive(bytes, 1);
  });
  EXPECT_EQ(errors[0], "the group: rank 1 sent something else than its part of send of 64 bytes");
}

}  // namespace
}  // namespace muster::worker::collective_test

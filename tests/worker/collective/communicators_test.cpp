#include "worker/collective/communicators.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <kj/debug.h>

#include <functional>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <vector>

namespace muster::worker::communicators_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

MemoryMark markOf(uint32_t rank) {
  MemoryMark mark{};
  mark[0] = static_cast<std::byte>(rank + 1);
  return mark;
}

// Two stages of two ranks, set up in one process as four processes would.
class CommunicatorsTest : public testing::Test {
 protected:
  ~CommunicatorsTest() noexcept override {}
  static constexpr uint32_t RANKS = 4;

  // `hosts`: of each rank.
  void build(const std::vector<std::string>& hosts) {
    for (uint32_t rank = 0; rank < RANKS; ++rank) {
      memories_.push_back(SharedMemory::make());
      writeMark(memories_[rank], markOf(rank));
      cards_.push_back({hosts[rank], "", memories_[rank].address()});
      marks_.push_back(markOf(rank));
      shapes_.push_back({.worldSize = RANKS, .tensor = 2, .self = rank, .deadline = 5_s});
    }
    connect();
    for (uint32_t rank = 0; rank < RANKS; ++rank) ranks_.push_back(make(rank));
  }

  std::unique_ptr<Communicators> make(uint32_t rank) {
    return std::make_unique<Communicators>(
        shapes_[rank],
        Communicators::Parts{cards_, marks_, kj::mv(memories_[rank]),
                             std::move(connections_[rank])},
        clock_);
  }

  void connect() {
    connections_.resize(RANKS);
    for (uint32_t rank = 0; rank < RANKS; ++rank) {
      for (RankNumber peer : peersByTcp(shapes_[rank], cards_)) {
        if (peer.value < rank) continue;
        int pair[2];
        KJ_SYSCALL(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
        connections_[rank].emplace(peer, kj::AutoCloseFd(pair[0]));
        connections_[peer.value].emplace(RankNumber{rank}, kj::AutoCloseFd(pair[1]));
      }
    }
  }

  // All ranks at once; texts of those that broke.
  std::vector<std::string> run(const std::function<void(uint32_t, Communicators&)>& work) {
    std::vector<std::string> errors(RANKS);
    std::vector<std::thread> threads;
    for (uint32_t rank = 0; rank < RANKS; ++rank) {
      threads.emplace_back([&, rank] {
        try {
          work(rank, *ranks_[rank]);
        } catch (const CollectiveBroken& broken) {
          errors[rank] = broken.what();
          ranks_[rank]->abort(broken.what());  // as an engine does
        }
      });
    }
    for (auto& thread : threads) thread.join();
    return errors;
  }

  // Each rank adds 10^rank, so that a sum tells who took part.
  void expectGroups() {
    auto errors = run([](uint32_t rank, Communicators& all) {
      constexpr float MINE[] = {1, 10, 100, 1000};
      auto sumOver = [&](Collective& collective) {
        std::vector<float> values(100, MINE[rank]);
        collective.allReduceSum(values);
        return values[99];
      };
      EXPECT_EQ(sumOver(all.world()), 1111);
      EXPECT_EQ(sumOver(all.tensor()), rank < 2 ? 11 : 1100);
      EXPECT_EQ(sumOver(all.pipeline()), rank % 2 == 0 ? 101 : 1010);
      EXPECT_EQ(all.tensor().rank(), rank % 2);
      EXPECT_EQ(all.pipeline().rank(), rank / 2);
    });
    EXPECT_THAT(errors, testing::Each(""));
  }

  SystemClock clock_;
  std::vector<GroupShape> shapes_;
  std::vector<RankCard> cards_;
  std::vector<MemoryMark> marks_;
  std::vector<SharedMemory> memories_;
  std::vector<std::map<RankNumber, kj::AutoCloseFd>> connections_;
  std::vector<std::unique_ptr<Communicators>> ranks_;
};

TEST_F(CommunicatorsTest, ranksOfOneHostNeedNoConnections) {
  build({"a", "a", "a", "a"});
  EXPECT_THAT(peersByTcp(shapes_[0], cards_), IsEmpty());
  expectGroups();
}

TEST_F(CommunicatorsTest, stagesOnTwoHostsShareMemoryWithinAndConnectAcross) {
  build({"a", "a", "b", "b"});
  EXPECT_THAT(peersByTcp(shapes_[0], cards_),
              ElementsAre(RankNumber{1}, RankNumber{2}, RankNumber{3}));  // for the world
  expectGroups();
}

TEST_F(CommunicatorsTest, anUnknownHostIsSharedWithNobody) {
  build({"", "", "", ""});
  EXPECT_EQ(peersByTcp(shapes_[3], cards_).size(), 3u);
  expectGroups();
}

TEST_F(CommunicatorsTest, abortEndsEveryCommunicatorEverywhere) {
  build({"a", "a", "b", "b"});
  std::thread aborter([&] { ranks_[0]->abort("rank 3 left the group"); });
  auto errors = run([](uint32_t rank, Communicators& all) {
    std::vector<float> values(4);
    // Rank 3 never comes: without the abort all would wait for it.
    if (rank != 3) all.world().allReduceSum(values);
    for (;;) all.tensor().allReduceSum(values);
  });
  aborter.join();
  EXPECT_THAT(errors, testing::Each(testing::Ne("")));
  EXPECT_THAT(errors[0], HasSubstr("rank 3 left the group"));
}

TEST_F(CommunicatorsTest, memoryOfAnotherGroupIsRefused) {
  build({"a", "a", "a", "a"});
  memories_.clear();
  for (uint32_t rank = 0; rank < RANKS; ++rank) memories_.push_back(SharedMemory::make());
  connections_.clear();
  connections_.resize(RANKS);
  marks_[0] = markOf(77);
  EXPECT_THROW(make(1), kj::Exception);
}

TEST_F(CommunicatorsTest, memoryOfAProcessThatIsGoneIsRefused) {
  build({"a", "a", "a", "a"});
  memories_.clear();
  for (uint32_t rank = 0; rank < RANKS; ++rank) memories_.push_back(SharedMemory::make());
  connections_.clear();
  connections_.resize(RANKS);
  cards_[0].memory.fd = 9999;
  EXPECT_THROW(make(1), kj::Exception);
}

TEST(HostIdentity, isTheSameForAllOfAHost) {
  EXPECT_FALSE(hostIdentity().empty());
  EXPECT_EQ(hostIdentity(), hostIdentity());
}

}  // namespace
}  // namespace muster::worker::communicators_test

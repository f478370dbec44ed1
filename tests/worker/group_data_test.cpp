#include "worker/engine/native/group_data.h"

#include "base/event_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <sys/socket.h>
#include <vector>

namespace muster::worker::group_data_test {
namespace {

using testing::HasSubstr;

class GroupDataTest : public testing::Test {
 protected:
  ~GroupDataTest() noexcept override {}  // as gtest's own: an event loop's may throw

  GroupTask task(uint32_t rank, uint64_t generation = 5) {
    GroupTask task{.ref = {{7}, {0}, {generation}, {rank}}, .worldSize = 3};
    task.secret.fill(0x42);
    task.joinTimeout = 20_s;
    return task;
  }
  kj::Own<DataPort> open(GroupTask task) {
    auto port =
        openDataPort(loop_.network(), loop_.timer(), random_, task, "127.0.0.1").wait(scope());
    cards_.resize(3);
    cards_[task.ref.rank.value].dataAddress = port->address();
    return port;
  }
  static std::vector<RankNumber> others(uint32_t rank) {
    std::vector<RankNumber> all;
    for (uint32_t other = 0; other < 3; ++other) {
      if (other != rank) all.push_back({other});
    }
    return all;
  }
  kj::WaitScope& scope() { return loop_.waitScope(); }

  EventLoop loop_;
  SeededRandom random_{1};
  std::vector<RankCard> cards_;
};

TEST_F(GroupDataTest, everyPairGetsOneConnection) {
  std::vector<kj::Own<DataPort>> ports;
  for (uint32_t rank = 0; rank < 3; ++rank) ports.push_back(open(task(rank)));
  std::vector<kj::Promise<Result<DataPort::Connections>>> connecting;
  for (uint32_t rank = 0; rank < 3; ++rank) {
    connecting.push_back(ports[rank]->connect(others(rank), cards_).eagerlyEvaluate(nullptr));
  }
  std::vector<DataPort::Connections> all;
  for (auto& one : connecting) {
    auto outcome = one.wait(scope());
    ASSERT_TRUE(outcome.ok()) << outcome.refusal().text;
    all.push_back(std::move(*outcome));
  }
  for (uint32_t from = 0; from < 3; ++from) {
    for (uint32_t to = 0; to < 3; ++to) {
      if (from == to) continue;
      char sent = static_cast<char>(10 * from + to);
      ASSERT_EQ(::send(all[from].at({to}), &sent, 1, 0), 1);
      char got = 0;
      ASSERT_EQ(::recv(all[to].at({from}), &got, 1, MSG_WAITALL), 1) << from << " to " << to;
      EXPECT_EQ(got, sent);
    }
  }
}

TEST_F(GroupDataTest, aStrangerWithoutTheSecretGetsNoConnection) {
  auto zero = open(task(0));
  GroupTask stranger = task(1);
  stranger.secret.fill(0x13);
  auto one = open(stranger);
  auto refused = one->connect({{0}}, cards_).wait(scope());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.refusal().code, RefusalCode::NOT_ALLOWED);
}

TEST_F(GroupDataTest, anOlderGenerationGetsNoConnection) {
  auto zero = open(task(0));
  auto one = open(task(1, 4));
  auto refused = one->connect({{0}}, cards_).wait(scope());
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.refusal().text, HasSubstr("generation 4 is over"));
}

TEST_F(GroupDataTest, whoIsMissingIsNamed) {
  GroupTask first = task(0);
  first.joinTimeout = 200_ms;
  auto zero = open(first);
  auto late = zero->connect(others(0), cards_).wait(scope());
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.refusal().text, "no data connection to rank 1, rank 2 within 200ms");
}

TEST_F(GroupDataTest, whoNeedsNoConnectionHasThemAtOnce) {
  auto zero = open(task(0));
  auto outcome = zero->connect({}, cards_).wait(scope());
  ASSERT_TRUE(outcome.ok());
  EXPECT_TRUE(outcome->empty());
}

TEST_F(GroupDataTest, garbageDoesNotDisturbTheOthers) {
  auto zero = open(task(0));
  auto one = open(task(1));
  auto address = loop_.network().parseAddress(zero->address().c_str()).wait(scope());
  auto garbage = address->connect().wait(scope());
  garbage->write("GET / HTTP/1.1\r\n\r\n", 18).wait(scope());
  auto waiting = zero->connect({{1}}, cards_).eagerlyEvaluate(nullptr);
  EXPECT_TRUE(one->connect({{0}}, cards_).wait(scope()).ok());
  EXPECT_TRUE(waiting.wait(scope()).ok());
}

}  // namespace
}  // namespace muster::worker::group_data_test

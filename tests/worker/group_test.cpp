#include "worker/engine/native/group.h"

#include "base/event_loop.h"
#include "worker/engine/native/group_proof.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace muster::worker::group_test {
namespace {

using testing::HasSubstr;

class GroupTest : public testing::Test {
 protected:
  ~GroupTest() noexcept override {}  // as gtest's own: an event loop's may throw

  GroupTask task(uint32_t rank, uint32_t worldSize = 3, uint64_t generation = 5) {
    GroupTask task{.ref = {{7}, {0}, {generation}, {rank}}, .worldSize = worldSize};
    task.secret.fill(0x42);
    task.joinTimeout = 20_s;
    task.card = {.host = "here", .dataAddress = "10.0.0." + std::to_string(rank) + ":7"};
    return task;
  }
  kj::Own<GroupHost> host(GroupTask task) {
    return hostGroup(loop_.network(), loop_.timer(), random_, task, "127.0.0.1").wait(scope());
  }
  kj::Own<Group> member(GroupTask task, const GroupHost& host) {
    return joinGroup(loop_.network(), loop_.timer(), random_, task, host.rendezvous());
  }
  kj::WaitScope& scope() { return loop_.waitScope(); }

  EventLoop loop_;
  SeededRandom random_{1};
};

TEST_F(GroupTest, allRanksMeet) {
  auto zero = host(task(0));
  auto one = member(task(1), *zero);
  auto two = member(task(2), *zero);
  auto joinedOne = one->joined().eagerlyEvaluate(nullptr);
  auto joinedTwo = two->joined().eagerlyEvaluate(nullptr);
  EXPECT_TRUE(zero->joined().wait(scope()).ok());
  EXPECT_TRUE(joinedOne.wait(scope()).ok());
  EXPECT_TRUE(joinedTwo.wait(scope()).ok());
  EXPECT_EQ(zero->present(), (std::vector<RankNumber>{{0}, {1}, {2}}));
  EXPECT_EQ(two->present(), (std::vector<RankNumber>{{0}, {1}, {2}}));
}

TEST_F(GroupTest, everyRankLearnsHowTheOthersAreReached) {
  auto zero = host(task(0));
  auto one = member(task(1), *zero);
  auto two = member(task(2), *zero);
  auto joinedOne = one->joined().eagerlyEvaluate(nullptr);
  auto joinedTwo = two->joined().eagerlyEvaluate(nullptr);
  ASSERT_TRUE(zero->joined().wait(scope()).ok());
  ASSERT_TRUE(joinedOne.wait(scope()).ok());
  ASSERT_TRUE(joinedTwo.wait(scope()).ok());
  std::vector<RankCard> cards{task(0).card, task(1).card, task(2).card};
  EXPECT_EQ(zero->cards(), cards);
  EXPECT_EQ(one->cards(), cards);
  EXPECT_EQ(two->cards(), cards);
}

TEST_F(GroupTest, aGroupOfOneIsCompleteAtOnce) {
  EXPECT_TRUE(host(task(0, 1))->joined().wait(scope()).ok());
}

TEST_F(GroupTest, aStrangerWithoutTheSecretIsRefusedAndLearnsOfIt) {
  auto zero = host(task(0, 2));
  GroupTask stranger = task(1, 2);
  stranger.secret.fill(0x13);
  auto refused = member(stranger, *zero)->joined().wait(scope());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.refusal().code, RefusalCode::NOT_ALLOWED);
  EXPECT_EQ(zero->present().size(), 1u);
}

TEST_F(GroupTest, anOlderGenerationIsRefused) {
  auto zero = host(task(0, 2, 5));
  auto refused = member(task(1, 2, 4), *zero)->joined().wait(scope());
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.refusal().text, HasSubstr("generation 4 is over, generation 5 meets here"));
}

TEST_F(GroupTest, aNewerGenerationWaitsAndIsNotCounted) {
  auto zero = host(task(0, 2, 5));
  GroupTask newer = task(1, 2, 6);
  newer.joinTimeout = 300_ms;
  auto outcome = member(newer, *zero)->joined().wait(scope());
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.refusal().code, RefusalCode::JOIN_TIMEOUT);
  EXPECT_THAT(outcome.refusal().text, HasSubstr("an older generation still meets there"));
  EXPECT_EQ(zero->present().size(), 1u);
}

TEST_F(GroupTest, whoIsMissingIsNamed) {
  GroupTask first = task(0, 4);
  first.joinTimeout = 300_ms;
  auto zero = host(first);
  auto two = member(task(2, 4), *zero);
  auto joining = two->joined().eagerlyEvaluate(nullptr);
  auto late = zero->joined().wait(scope());
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.refusal().text, "2 of 4 joined within 300ms; missing rank 1, rank 3");
}

TEST_F(GroupTest, aRankThatComesBeforeTheHostKeepsTrying) {
  auto placeholder = host(task(0, 2));
  std::string address = placeholder->rendezvous();
  placeholder = nullptr;  // nobody listens there now
  auto one = joinGroup(loop_.network(), loop_.timer(), random_, task(1, 2), address);
  auto joining = one->joined().eagerlyEvaluate(nullptr);
  auto zero = hostGroup(loop_.network(), loop_.timer(), random_, task(0, 2), address).wait(scope());
  EXPECT_TRUE(zero->joined().wait(scope()).ok());
  EXPECT_TRUE(joining.wait(scope()).ok());
}

TEST_F(GroupTest, everybodyNoticesWhenARankLeaves) {
  auto zero = host(task(0, 2));
  auto one = member(task(1, 2), *zero);
  auto joining = one->joined().eagerlyEvaluate(nullptr);
  ASSERT_TRUE(zero->joined().wait(scope()).ok());
  ASSERT_TRUE(joining.wait(scope()).ok());
  joining = nullptr;
  one = nullptr;
  EXPECT_EQ(zero->broken().wait(scope()), "rank 1 left the group");
}

TEST_F(GroupTest, theOthersHearAtOnceWhoLeft) {
  auto zero = host(task(0));
  auto one = member(task(1), *zero);
  auto two = member(task(2), *zero);
  auto joinedOne = one->joined().eagerlyEvaluate(nullptr);
  auto joinedTwo = two->joined().eagerlyEvaluate(nullptr);
  ASSERT_TRUE(zero->joined().wait(scope()).ok());
  ASSERT_TRUE(joinedOne.wait(scope()).ok());
  ASSERT_TRUE(joinedTwo.wait(scope()).ok());
  joinedTwo = nullptr;
  two = nullptr;
  EXPECT_EQ(one->broken().wait(scope()), "rank 2 left the group");
}

TEST_F(GroupTest, membersNoticeWhenRankZeroLeaves) {
  auto zero = host(task(0, 2));
  auto one = member(task(1, 2), *zero);
  auto joining = one->joined().eagerlyEvaluate(nullptr);
  ASSERT_TRUE(zero->joined().wait(scope()).ok());
  ASSERT_TRUE(joining.wait(scope()).ok());
  zero = nullptr;
  EXPECT_THAT(one->broken().wait(scope()), HasSubstr("rank 0 left the group"));
}

TEST_F(GroupTest, garbageDoesNotDisturbTheGroup) {
  auto zero = host(task(0, 2));
  auto address = loop_.network().parseAddress(zero->rendezvous().c_str()).wait(scope());
  auto garbage = address->connect().wait(scope());
  garbage->write("GET / HTTP/1.1\r\n\r\n", 18).wait(scope());
  auto one = member(task(1, 2), *zero);
  auto joining = one->joined().eagerlyEvaluate(nullptr);
  EXPECT_TRUE(zero->joined().wait(scope()).ok());
  EXPECT_TRUE(joining.wait(scope()).ok());
}

TEST(GroupProof, isBoundToEveryInput) {
  GroupSecret secret{};
  ProofInput input{.side = "host",
                   .ref = {{1}, {2}, {3}, {4}},
                   .memberNonce = {},
                   .hostNonce = {},
                   .statement = "s"};
  Proof proof = makeProof(secret, input);
  auto differs = [&](auto change) {
    ProofInput other = input;
    change(other);
    return !sameProof(proof, makeProof(secret, other));
  };
  EXPECT_TRUE(sameProof(proof, makeProof(secret, input)));
  EXPECT_TRUE(differs([](ProofInput& other) { other.side = "member"; }));
  EXPECT_TRUE(differs([](ProofInput& other) { other.ref.generation = {4}; }));
  EXPECT_TRUE(differs([](ProofInput& other) { other.ref.rank = {5}; }));
  EXPECT_TRUE(differs([](ProofInput& other) { other.memberNonce[31] = 1; }));
  EXPECT_TRUE(differs([](ProofInput& other) { other.hostNonce[0] = 1; }));
  EXPECT_TRUE(differs([](ProofInput& other) { other.statement = "t"; }));
  GroupSecret another{};
  another[5] = 1;
  EXPECT_FALSE(sameProof(proof, makeProof(another, input)));
}

}  // namespace
}  // namespace muster::worker::group_test

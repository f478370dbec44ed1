#include "coordinator/heap_need.h"

#include "base/event_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::coordinator::heap_need_test {
namespace {

using testing::HasSubstr;

TEST(HeapNeed, growsWithTheLogThatIsKeptAndTheState) {
  SnapshotOptions options;
  HeapNeed small = heapNeed(options, 0_MiB);
  EXPECT_EQ(small.log, Bytes{(32_MiB).count + 1000 * (64_KiB).count});
  EXPECT_EQ(heapNeed(options, 100_MiB).heap.count - small.heap.count, (300_MiB).count);
  options.logBytes = 64_MiB;
  EXPECT_EQ(heapNeed(options, 0_MiB).heap.count - small.heap.count, (96_MiB).count);
}

TEST(HeapNeed, isReadFromTheEnvironmentOfAServer) {
  EXPECT_EQ(heapIn("Environment:\nos.memory.free=13MB\nos.memory.max=247MB\n"), 247_MiB);
  EXPECT_EQ(heapIn("envi is not executed because it is not in the whitelist.\n"), std::nullopt);
  EXPECT_EQ(heapIn("os.memory.max=MB"), std::nullopt);
  EXPECT_EQ(heapIn(""), std::nullopt);
}

TEST(HeapNeed, tooLittleIsRefusedWithTheNextStep) {
  HeapNeed need = heapNeed(SnapshotOptions(), 10_MiB);
  EXPECT_FALSE(judgeHeap("10.0.0.1:2181", need.heap, need));
  auto refused = judgeHeap("10.0.0.1:2181", 100_MiB, need);
  ASSERT_TRUE(refused);
  EXPECT_THAT(refused->text, HasSubstr("10.0.0.1:2181 has a heap of 100 MiB"));
  ASSERT_EQ(refused->fixes.size(), 2u);
  EXPECT_THAT(refused->fixes[0], HasSubstr("-Xmx"));
}

// A server of our own that answers as ZooKeeper does: the whole text, then the end.
TEST(HeapNeed, isAskedOverTheNetwork) {
  EventLoop loop;
  auto address = loop.network().parseAddress("127.0.0.1").wait(loop.waitScope());
  auto receiver = address->listen();
  auto answering = receiver->accept().then([](kj::Own<kj::AsyncIoStream> stream) {
    auto question = kj::heapArray<char>(4);
    auto read = stream->read(question.begin(), question.size());
    return read
        .then([&stream = *stream, question = kj::mv(question)]() mutable {
          KJ_REQUIRE(kj::heapString(question) == "envi");
          static constexpr kj::StringPtr ANSWER = "os.memory.max=512MB\n"_kj;
          return stream.write(ANSWER.begin(), ANSWER.size());
        })
        .attach(kj::mv(stream));
  });
  auto running = answering.eagerlyEvaluate(nullptr);
  std::string server = "127.0.0.1:" + std::to_string(receiver->getPort());
  auto heap = askHeap(loop.network(), loop.timer(), server).wait(loop.waitScope());
  ASSERT_NE(heap, nullptr);
  EXPECT_EQ(KJ_ASSERT_NONNULL(heap), 512_MiB);
}

TEST(HeapNeed, isUnknownWhenNobodyAnswers) {
  EventLoop loop;
  auto address = loop.network().parseAddress("127.0.0.1").wait(loop.waitScope());
  auto receiver = address->listen();  // takes the connection and says nothing
  std::string server = "127.0.0.1:" + std::to_string(receiver->getPort());
  EXPECT_EQ(askHeap(loop.network(), loop.timer(), server).wait(loop.waitScope()), nullptr);
}

}  // namespace
}  // namespace muster::coordinator::heap_need_test

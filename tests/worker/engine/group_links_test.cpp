// When ranks exchange directly between their devices, and when through the host.
#include "worker/engine/native/group_links.h"

#include "tests/support/thread_collective.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>

namespace muster::worker::group_links_test {
namespace {

// As a GPU's collective: on device memory. What it is asked is counted.
class FakeDirect final : public Collective {
 public:
  FakeDirect(Collective& host, std::atomic<int>& aborts)
      : rank_(host.rank()), size_(host.size()), aborts_(aborts) {}
  uint32_t rank() const override { return rank_; }
  uint32_t size() const override { return size_; }
  bool onDevice() const override { return true; }
  void allReduceSum(std::span<float>) override {}
  void allGather(std::span<const std::byte>, std::span<std::byte>) override {}
  void broadcast(std::span<std::byte>, uint32_t) override {}
  void send(std::span<const std::byte>, uint32_t) override {}
  void receive(std::span<std::byte>, uint32_t) override {}
  void abort(std::string) override { ++aborts_; }

 private:
  uint32_t rank_;
  uint32_t size_;
  std::atomic<int>& aborts_;
};

class FakeDevice final : public DirectDevice {
 public:
  FakeDevice(std::string uuid, std::atomic<int>& aborts)
      : uuid_(std::move(uuid)), aborts_(aborts) {}
  std::string uuid() const override { return uuid_; }
  kj::Own<Collective> makeCollective(Collective& host, Duration) override {
    return kj::heap<FakeDirect>(host, aborts_);
  }

 private:
  std::string uuid_;
  std::atomic<int>& aborts_;
};

struct Outcome {
  std::atomic<int> direct{0};  // ranks whose links are
  std::atomic<int> aborts{0};  // of direct collectives, when each rank aborts its links
  std::atomic<int> onDevice{0};
};

// Two stages of two ranks on these devices; an empty text is a CPU.
void meet(const std::vector<std::string>& devices, Outcome& outcome) {
  muster::testing::ThreadGroup group(2, 2);
  group.run([&](uint32_t rank) {
    FakeDevice device(devices[rank], outcome.aborts);
    GroupLinks links(
        {group.world(rank), group.tensor(rank), group.pipeline(rank), group.pipeline(rank)});
    links.goDirect(devices[rank].empty() ? nullptr : &device, 10_s);
    auto collectives = links.collectives();
    if (links.isDirect()) ++outcome.direct;
    outcome.onDevice += collectives.tensor.onDevice() + collectives.pipeline.onDevice();
    EXPECT_FALSE(collectives.world.onDevice());
    EXPECT_FALSE(collectives.logits.onDevice());
    EXPECT_EQ(collectives.tensor.rank(), rank % 2);
    EXPECT_EQ(collectives.pipeline.rank(), rank / 2);
    links.abort("the generation is over");
  });
}

TEST(GroupLinks, ranksWithAGpuEachExchangeDirectly) {
  Outcome outcome;
  meet({"GPU-a", "GPU-b", "GPU-c", "GPU-d"}, outcome);
  EXPECT_EQ(outcome.direct, 4);
  EXPECT_EQ(outcome.onDevice, 8);
  EXPECT_EQ(outcome.aborts, 8);
}

TEST(GroupLinks, oneRankOnACpuOrASharedGpuSendsAllThroughTheHost) {
  const std::vector<std::string> groups[] = {
      {"GPU-a", "GPU-b", "", "GPU-d"}, {"GPU-a", "GPU-b", "GPU-a", "GPU-d"}, {"", "", "", ""}};
  for (const auto& devices : groups) {
    Outcome outcome;
    meet(devices, outcome);
    EXPECT_EQ(outcome.direct, 0);
    EXPECT_EQ(outcome.onDevice, 0);
    EXPECT_EQ(outcome.aborts, 0);
  }
}

TEST(GroupLinks, whatIsMadeAfterAnAbortIsAbortedToo) {
  std::atomic<int> aborts{0};
  muster::testing::ThreadGroup group(2, 1);
  group.run([&](uint32_t rank) {
    FakeDevice device("GPU-" + std::to_string(rank), aborts);
    GroupLinks links(
        {group.world(rank), group.tensor(rank), group.pipeline(rank), group.pipeline(rank)});
    links.abort("the generation is over");
    links.goDirect(&device, 10_s);
  });
  EXPECT_EQ(aborts, 2);
}

}  // namespace
}  // namespace muster::worker::group_links_test

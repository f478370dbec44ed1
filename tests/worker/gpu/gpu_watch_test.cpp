#include "worker/gpu/gpu_watch.h"

#include "base/event_loop.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

namespace muster::worker::gpu_watch_test {
namespace {

// Says what it is told to say; while it hangs, nobody gets an answer.
class FakeDriver final : public GpuDriver {
 public:
  GpuInventory inventory() override { return {}; }
  std::map<DeviceIndex, std::string> troubles() override {
    std::unique_lock lock(mutex_);
    ++looks_;
    wake_.wait(lock, [this] { return !hangs_; });
    return troubles_;
  }
  void say(std::map<DeviceIndex, std::string> troubles) {
    std::lock_guard lock(mutex_);
    troubles_ = std::move(troubles);
  }
  void hang(bool hangs) {
    {
      std::lock_guard lock(mutex_);
      hangs_ = hangs;
    }
    wake_.notify_all();
  }
  int looks() {
    std::lock_guard lock(mutex_);
    return looks_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<DeviceIndex, std::string> troubles_;
  bool hangs_ = false;
  int looks_ = 0;
};

class GpuWatching : public testing::Test {
 protected:
  using Troubles = GpuWatch::Troubles;

  GpuWatching()
      : watch_(loop_.timer(), driver_, {{0}, {1}}, {},
               [this](const Troubles& troubles) { told_.push_back(troubles); },
               {.interval = 1_ms, .silence = 200_ms}) {}
  ~GpuWatching() noexcept override = default;

  template <class Condition>
  void until(Condition condition) {
    for (int i = 0; i < 10000 && !condition(); i++) {
      loop_.timer().afterDelay(kj::MILLISECONDS).wait(loop_.waitScope());
    }
    ASSERT_TRUE(condition());
  }

  EventLoop loop_;
  std::shared_ptr<FakeDriver> driver_ = std::make_shared<FakeDriver>();
  std::vector<Troubles> told_;
  GpuWatch watch_;
};

TEST_F(GpuWatching, tellsChangesAndNothingElse) {
  until([&] { return driver_->looks() > 3; });
  EXPECT_TRUE(told_.empty());
  driver_->say({{{1}, "XID 79"}});
  until([&] { return !told_.empty(); });
  driver_->say({});
  until([&] { return told_.size() > 1; });
  EXPECT_EQ(told_, (std::vector<Troubles>{{{{1}, "XID 79"}}, {}}));
}

TEST_F(GpuWatching, aDriverThatHangsTakesAllGpusAwayUntilItAnswers) {
  driver_->hang(true);
  until([&] { return !told_.empty(); });
  const char* why = "the driver has not answered for 200ms";
  EXPECT_EQ(told_.front(), (Troubles{{{0}, why}, {{1}, why}}));
  int looks = driver_->looks();
  driver_->hang(false);
  until([&] { return told_.size() > 1; });
  EXPECT_EQ(told_.back(), Troubles{});
  EXPECT_GE(driver_->looks(), looks);
}

}  // namespace
}  // namespace muster::worker::gpu_watch_test

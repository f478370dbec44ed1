#include "worker/threaded_inspection.h"

#include "base/event_loop.h"
#include "tests/worker/sample_model.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>

namespace muster::worker::threaded_inspection_test {
namespace {

class ThreadedInspectionTest : public testing::Test {
 protected:
  ~ThreadedInspectionTest() noexcept override {}  // as gtest's own: an event loop's may throw

  template <class T>
  T within(kj::Promise<T> promise) {
    return loop_.timer().timeoutAfter(20 * kj::SECONDS, kj::mv(promise)).wait(loop_.waitScope());
  }

  EventLoop loop_;
};

// A look that waits until the test lets it go on. Shared with the thread, which may outlive all.
struct Hold {
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  std::atomic<int> running{0};
  std::atomic<int> most{0};
  std::atomic<int> looks{0};
};

ThreadedInspection::Look holding(const std::shared_ptr<Hold>& hold) {
  return [hold](const std::string& source) -> Result<ModelManifest> {
    int now = ++hold->running;
    if (now > hold->most) hold->most = now;
    hold->released.wait();
    hold->looks++;
    hold->running--;
    ModelManifest manifest;
    manifest.source = source;
    return manifest;
  };
}

TEST_F(ThreadedInspectionTest, inspectsARealModelBesideTheLoop) {
  SampleModel model;
  ThreadedInspection inspection(loop_.timer(),
                                lookBelow(ModelRoots({model.root.string()}), {"w1"}));
  auto manifest = within(inspection.inspect(model.source()));
  ASSERT_TRUE(manifest.ok()) << manifest.refusal().text;
  EXPECT_EQ(manifest->inspectedBy.value, "w1");
  EXPECT_EQ(within(inspection.inspect("file:/etc")).refusal().code,
            RefusalCode::MODEL_OUTSIDE_ROOTS);
}

TEST_F(ThreadedInspectionTest, looksAtOneModelAtATime) {
  auto hold = std::make_shared<Hold>();
  ThreadedInspection inspection(loop_.timer(), holding(hold));
  auto first = inspection.inspect("a");
  auto second = inspection.inspect("b");
  hold->release.set_value();
  EXPECT_EQ(within(kj::mv(first))->source, "a");
  EXPECT_EQ(within(kj::mv(second))->source, "b");
  EXPECT_EQ(hold->most, 1);
}

TEST_F(ThreadedInspectionTest, refusesWhatTakesTooLong) {
  auto hold = std::make_shared<Hold>();
  ThreadedInspection inspection(loop_.timer(), holding(hold), {.deadline = 500_ms});
  auto hanging = inspection.inspect("a");
  auto behind = inspection.inspect("b");
  EXPECT_EQ(within(kj::mv(hanging)).refusal().code, RefusalCode::TIMED_OUT);
  EXPECT_EQ(within(kj::mv(behind)).refusal().code, RefusalCode::TIMED_OUT);
  hold->release.set_value();
  EXPECT_EQ(within(inspection.inspect("c"))->source, "c");
  EXPECT_EQ(hold->looks, 2) << "nobody waited for b any more";
}

TEST_F(ThreadedInspectionTest, refusesMoreThanItsQueueHolds) {
  auto hold = std::make_shared<Hold>();
  ThreadedInspection inspection(loop_.timer(), holding(hold), {.queueMax = 1});
  auto running = inspection.inspect("a");
  auto waiting = inspection.inspect("b");
  EXPECT_EQ(within(inspection.inspect("c")).refusal().code, RefusalCode::OVERLOADED);
  hold->release.set_value();
  EXPECT_TRUE(within(kj::mv(waiting)).ok());
}

TEST_F(ThreadedInspectionTest, aLookThatThrowsIsARefusal) {
  ThreadedInspection inspection(loop_.timer(), [](const std::string&) -> Result<ModelManifest> {
    KJ_FAIL_REQUIRE("the disk is on fire");
  });
  auto outcome = within(inspection.inspect("a"));
  ASSERT_FALSE(outcome.ok());
  EXPECT_NE(outcome.refusal().text.find("the disk is on fire"), std::string::npos);
}

TEST_F(ThreadedInspectionTest, mayGoWhileAThreadStillLooks) {
  auto hold = std::make_shared<Hold>();
  {
    ThreadedInspection inspection(loop_.timer(), holding(hold));
    auto dropped = inspection.inspect("a");
  }
  hold->release.set_value();
}

}  // namespace
}  // namespace muster::worker::threaded_inspection_test

// Each test is one trap of running a second loop inside kj's.
#include "base/event_loop.h"

#include "base/clock.h"
#include "base/co.h"
#include "base/random.h"

#include <gtest/gtest.h>
#include <kj/debug.h>
#include <kj/io.h>

#include <fcntl.h>
#include <optional>
#include <signal.h>
#include <string>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

namespace muster::event_loop_test {
namespace {

struct Socketpair {
  Socketpair() {
    int fds[2];
    KJ_SYSCALL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds));
    near = kj::AutoCloseFd(fds[0]);
    far = kj::AutoCloseFd(fds[1]);
  }
  kj::AutoCloseFd near;
  kj::AutoCloseFd far;
};

class EventLoopTest : public testing::Test {
 public:
  ~EventLoopTest() noexcept override = default;

 protected:
  // Waits for `promise`, but not for ever.
  template <class T>
  T within(kj::Promise<T> promise) {
    return loop.timer().timeoutAfter(10 * kj::SECONDS, kj::mv(promise)).wait(loop.waitScope());
  }
  void turnFor(kj::Duration duration) { loop.timer().afterDelay(duration).wait(loop.waitScope()); }

  EventLoop loop;
};

TEST_F(EventLoopTest, descriptorThatStaysReadyKeepsCallingBack) {
  Socketpair pair;
  auto done = kj::newPromiseAndFulfiller<void>();
  std::string seen;
  auto watcher = loop.newFdWatcher([&](FdEvents ready) {
    EXPECT_TRUE(ready.readable);
    char byte = 0;
    ASSERT_EQ(read(pair.near, &byte, 1),
              1);  // one byte a call: the rest stays and gives no second edge
    seen.push_back(byte);
    if (seen.size() == 10) done.fulfiller->fulfill();
  });
  watcher->watch(pair.near, {.readable = true});
  ASSERT_EQ(write(pair.far, "0123456789", 10), 10);
  within(kj::mv(done.promise));
  EXPECT_EQ(seen, "0123456789");
}

TEST_F(EventLoopTest, timerStartedFromOutsideFires) {
  auto due = kj::newPromiseAndFulfiller<void>();
  auto timer = loop.newOneShotTimer([&] { due.fulfiller->fulfill(); });
  turnFor(5 * kj::MILLISECONDS);  // the inner loop sleeps by now, without a timer of its own
  timer->start(2_ms);
  within(kj::mv(due.promise));
}

TEST_F(EventLoopTest, innerTimerIsNotEarlyAndHardlyLate) {
  SystemClock clock;
  auto due = kj::newPromiseAndFulfiller<SteadyTime>();
  auto timer = loop.newOneShotTimer([&] { due.fulfiller->fulfill(clock.steadyNow()); });
  turnFor(20 * kj::MILLISECONDS);  // libuv's own clock stands still meanwhile
  auto start = clock.steadyNow();
  timer->start(25_ms);
  auto passed = within(kj::mv(due.promise)) - start;
  EXPECT_GE(passed, 24_ms);
  EXPECT_LT(passed, 5_s);
}

TEST_F(EventLoopTest, stoppedTimerAndWatcherStaySilent) {
  Socketpair pair;
  int calls = 0;
  auto watcher = loop.newFdWatcher([&](FdEvents) { calls++; });
  auto timer = loop.newOneShotTimer([&] { calls++; });
  watcher->watch(pair.near, {.readable = true});
  timer->start(1_ms);
  watcher->stop();
  timer->stop();
  ASSERT_EQ(write(pair.far, "x", 1), 1);
  turnFor(10 * kj::MILLISECONDS);
  EXPECT_EQ(calls, 0);
}

constexpr int SPIN_MAX = 300'000;  // a starved loop runs through all of them

Co<int> spin(bool& stop) {
  int turns = 0;
  for (; !stop && turns < SPIN_MAX; turns++) co_await kj::evalLater([] {});
  co_return turns;
}

TEST_F(EventLoopTest, busyQueueDoesNotStarveTimersAndInput) {
  Socketpair pair;
  bool stop = false;
  auto spinning = spin(stop).asPromise().eagerlyEvaluate(nullptr);
  auto readable = kj::newPromiseAndFulfiller<void>();
  auto watcher = loop.newFdWatcher([&](FdEvents) { readable.fulfiller->fulfill(); });
  watcher->watch(pair.near, {.readable = true});
  ASSERT_EQ(write(pair.far, "x", 1), 1);
  within(kj::mv(readable.promise));
  within(loop.timer().afterDelay(2 * kj::MILLISECONDS));
  stop = true;
  EXPECT_LT(within(kj::mv(spinning)), SPIN_MAX);
}

TEST_F(EventLoopTest, idleLoopMakesNoTurns) {
  Socketpair pair;
  auto watcher = loop.newFdWatcher([](FdEvents) {});
  watcher->watch(pair.near, {.readable = true});
  turnFor(5 * kj::MILLISECONDS);
  auto before = loop.innerTurns();
  turnFor(100 * kj::MILLISECONDS);
  EXPECT_LE(loop.innerTurns() - before, 2u);
}

TEST_F(EventLoopTest, loopWithoutHandlesMakesNoTurns) {
  turnFor(5 * kj::MILLISECONDS);
  auto before = loop.innerTurns();
  turnFor(50 * kj::MILLISECONDS);
  EXPECT_LE(loop.innerTurns() - before, 1u);
}

TEST_F(EventLoopTest, reusedDescriptorNumberIsWatchedAnew) {
  int events = 0;
  auto woken = kj::newPromiseAndFulfiller<void>();
  kj::Maybe<FdWatcher&> self;
  auto watcher = loop.newFdWatcher([&](FdEvents) {
    events++;
    KJ_IF_MAYBE (w, self) {
      w->stop();
    }
    woken.fulfiller->fulfill();
  });
  self = *watcher;
  int firstNumber = -1;
  for (int round = 0; round < 20; round++) {
    Socketpair pair;
    if (round == 0) firstNumber = pair.near;
    EXPECT_EQ(static_cast<int>(pair.near), firstNumber)
        << "the kernel gives the lowest free number";
    woken = kj::newPromiseAndFulfiller<void>();
    watcher->watch(pair.near, {.readable = true});
    ASSERT_EQ(write(pair.far, "x", 1), 1);
    within(kj::mv(woken.promise));
    watcher->stop();
  }
  EXPECT_EQ(events, 20);
}

TEST_F(EventLoopTest, watchedDescriptorIsClosedOnExec) {
  Socketpair pair;
  KJ_SYSCALL(fcntl(pair.near, F_SETFD, 0));
  auto watcher = loop.newFdWatcher([](FdEvents) {});
  watcher->watch(pair.near, {.writable = true});
  EXPECT_EQ(fcntl(pair.near, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST_F(EventLoopTest, hangUpCountsAsReadable) {
  Socketpair pair;
  auto woken = kj::newPromiseAndFulfiller<FdEvents>();
  auto watcher =
      loop.newFdWatcher([&](FdEvents ready) { woken.fulfiller->fulfill(kj::cp(ready)); });
  watcher->watch(pair.near, {.readable = true});
  pair.far = nullptr;
  EXPECT_TRUE(within(kj::mv(woken.promise)).readable);
}

TEST_F(EventLoopTest, callbackMayWatchAgainWithOtherInterest) {
  Socketpair pair;
  auto woken = kj::newPromiseAndFulfiller<void>();
  kj::Maybe<FdWatcher&> self;
  auto watcher = loop.newFdWatcher([&](FdEvents ready) {
    KJ_IF_MAYBE (w, self) {
      if (ready.writable) {
        w->watch(pair.near, {.readable = true});
      } else {
        w->stop();
        woken.fulfiller->fulfill();
      }
    }
  });
  self = *watcher;
  watcher->watch(pair.near, {.writable = true});
  ASSERT_EQ(write(pair.far, "x", 1), 1);
  within(kj::mv(woken.promise));
}

TEST(EventLoop, closesCleanlyWithHandlesJustDropped) {
  // LeakSanitizer in the dev preset tells when a handle's memory is lost here.
  EventLoop loop;
  Socketpair pair;
  auto watcher = loop.newFdWatcher([](FdEvents) {});
  watcher->watch(pair.near, {.readable = true});
  auto timer = loop.newOneShotTimer([] {});
  timer->start(1_min);
}

TEST(EventLoopDeathTest, terminationSignalIsAPromise) {
  // In a child: capturing changes the mask of the whole process.
  auto run = [] {
    EventLoop loop(TerminationSignals::CAPTURE);
    KJ_SYSCALL(kill(getpid(), SIGTERM));
    int number = loop.onTermination().wait(loop.waitScope());
    _exit(number == SIGTERM ? 0 : 1);
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(0), "");
}

TEST(EventLoopDeathTest, throwingCallbackEndsTheProcess) {
  auto run = [] {
    EventLoop loop;
    auto timer = loop.newOneShotTimer([] { KJ_FAIL_ASSERT("broken invariant"); });
    timer->start(0_ms);
    loop.timer().afterDelay(5 * kj::SECONDS).wait(loop.waitScope());
  };
  EXPECT_DEATH(run(), "broken invariant");
}

TEST(SystemClock, steadyTimeGoesOnAndWallTimeIsToday) {
  SystemClock clock;
  auto first = clock.steadyNow();
  EXPECT_GE(clock.steadyNow(), first);
  EXPECT_NEAR(static_cast<double>(clock.wallNow().unixMs) / 1000,
              static_cast<double>(time(nullptr)), 5);
}

TEST(SystemRandom, drawsDiffer) {
  SystemRandom random;
  EXPECT_NE(random.next(), random.next());
  EXPECT_NE(random.guid(), random.guid());
}

}  // namespace
}  // namespace muster::event_loop_test

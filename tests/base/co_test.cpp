#include "base/co.h"

#include "base/tasks.h"

#include <gtest/gtest.h>
#include <kj/async-io.h>
#include <kj/debug.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace muster::co_test {
namespace {

class CoTest : public testing::Test {
 public:
  ~CoTest() noexcept override = default;

 protected:
  kj::AsyncIoContext io = kj::setupAsyncIo();
  kj::WaitScope& scope = io.waitScope;
  kj::Timer& timer = io.provider->getTimer();
};

// Writes its name into a list when it goes.
class Witness {
 public:
  Witness(std::vector<std::string>& gone, std::string name)
      : gone_(&gone), name_(std::move(name)) {}
  Witness(Witness&& other) noexcept
      : gone_(std::exchange(other.gone_, nullptr)), name_(other.name_) {}
  ~Witness() {
    if (gone_ != nullptr) gone_->push_back(name_);
  }

 private:
  std::vector<std::string>* gone_;
  std::string name_;
};

Co<int> answer() { co_return 42; }
Co<void> nothing() { co_return; }
Co<std::string> joined(std::string left, std::string right) {
  co_await kj::evalLater([] {});
  co_return left + right;
}
Co<int> sumTo(int limit) {
  int sum = 0;
  for (int i = 1; i <= limit; i++) sum += co_await kj::evalLater([i] { return i; });
  co_return sum;
}
Co<void> throwsKj() {
  co_await kj::evalLater([] {});
  KJ_FAIL_REQUIRE("planned");
}
Co<int> throwsStd() {
  throw std::runtime_error("standard");
  co_return 1;
}

TEST_F(CoTest, givesValueAndVoid) {
  EXPECT_EQ(answer().wait(scope), 42);
  nothing().wait(scope);
}

TEST_F(CoTest, keepsStringParametersAcrossAwait) {
  std::string left(100, 'l');
  auto promise = joined(left, std::string(100, 'r'));
  left.clear();
  EXPECT_EQ(kj::mv(promise).wait(scope), std::string(100, 'l') + std::string(100, 'r'));
}

TEST_F(CoTest, loopsAThousandTimes) { EXPECT_EQ(sumTo(1000).wait(scope), 500500); }

TEST_F(CoTest, awaitsOtherCoroutines) {
  auto outer = [](int times) -> Co<int> {
    int sum = 0;
    for (int i = 0; i < times; i++) sum += co_await sumTo(10) + co_await answer();
    co_return sum;
  };
  EXPECT_EQ(outer(100).wait(scope), 9700);
}

TEST_F(CoTest, movesOwnedValuesThrough) {
  auto make = [](int value) -> Co<kj::Own<int>> {
    co_await kj::evalLater([] {});
    co_return kj::heap<int>(value);
  };
  auto use = [](kj::Own<int> first, Co<kj::Own<int>> second) -> Co<int> {
    auto other = co_await kj::mv(second);
    co_return *first + *other;
  };
  EXPECT_EQ(use(kj::heap<int>(3), make(4)).wait(scope), 7);
}

TEST_F(CoTest, carriesKjExceptionsWithTypeAndText) {
  auto throwsDisconnected = []() -> Co<void> {
    co_await kj::evalLater([] {});
    kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "peer gone"));
  };
  auto outer = [&]() -> Co<void> { co_await throwsDisconnected(); };
  auto exception = kj::runCatchingExceptions([&] { outer().wait(scope); });
  KJ_IF_MAYBE (e, exception) {
    EXPECT_EQ(e->getType(), kj::Exception::Type::DISCONNECTED);
    EXPECT_STREQ(e->getDescription().cStr(), "peer gone");
  } else {
    FAIL() << "no exception";
  }
}

TEST_F(CoTest, catchesAwaitedExceptionsAndGoesOn) {
  auto careful = []() -> Co<std::string> {
    std::string seen;
    try {
      co_await throwsKj();
    } catch (const kj::Exception& e) {
      seen = e.getDescription().cStr();
    }
    co_await kj::evalLater([] {});
    co_return seen;
  };
  EXPECT_EQ(careful().wait(scope), "planned");
}

TEST_F(CoTest, carriesStandardExceptions) {
  auto exception = kj::runCatchingExceptions([&] { throwsStd().wait(scope); });
  KJ_IF_MAYBE (e, exception) {
    EXPECT_NE(std::string(e->getDescription().cStr()).find("standard"), std::string::npos);
  } else {
    FAIL() << "no exception";
  }
}

TEST_F(CoTest, runsUntilTheFirstAwaitAtOnce) {
  bool started = false;
  auto co = [](bool& flag) -> Co<void> {
    flag = true;
    co_await kj::Promise<void>(kj::NEVER_DONE);
  }(started);
  EXPECT_TRUE(started);
}

TEST_F(CoTest, droppingCancelsAwaitedPromiseFirstThenLocals) {
  std::vector<std::string> gone;
  auto work = [](std::vector<std::string>& log, [[maybe_unused]] Witness parameter) -> Co<void> {
    Witness outer(log, "outer");
    Witness inner(log, "inner");
    co_await kj::Promise<void>(kj::NEVER_DONE).attach(Witness(log, "awaited"));
  };
  {
    auto co = work(gone, Witness(gone, "parameter"));
    EXPECT_TRUE(gone.empty());
  }
  EXPECT_EQ(gone, (std::vector<std::string>{"awaited", "inner", "outer", "parameter"}));
}

TEST_F(CoTest, droppingReadsOfALocalStreamIsHarmless) {
  auto reader = [](kj::AsyncIoProvider& provider) -> Co<void> {
    auto pipe = provider.newTwoWayPipe();
    char byte;
    co_await pipe.ends[0]->read(&byte, 1);
  };
  auto co = reader(*io.provider).asPromise();
  EXPECT_FALSE(co.poll(scope));
  co = nullptr;  // the stream would complain were it destroyed before the read that uses it
}

TEST_F(CoTest, exclusiveJoinDropsTheLoser) {
  std::vector<std::string> gone;
  auto slow = [](std::vector<std::string>& log) -> Co<int> {
    Witness local(log, "slow");
    co_await kj::Promise<void>(kj::NEVER_DONE);
    co_return 1;
  };
  auto winner = slow(gone).asPromise().exclusiveJoin(sumTo(3).asPromise());
  EXPECT_EQ(winner.wait(scope), 6);
  EXPECT_EQ(gone, std::vector<std::string>{"slow"});
}

TEST_F(CoTest, timeoutAfterThrowsOverloaded) {
  auto never = []() -> Co<void> { co_await kj::Promise<void>(kj::NEVER_DONE); };
  auto waiting = [&]() -> Co<std::string> {
    bool late = false;
    try {
      co_await timer.timeoutAfter(1 * kj::MILLISECONDS, never().asPromise());
    } catch (const kj::Exception& e) {
      late = e.getType() == kj::Exception::Type::OVERLOADED;
    }
    co_return late ? "late" : "done";
  };
  EXPECT_EQ(waiting().wait(scope), "late");
}

TEST_F(CoTest, forkedResultReachesAllWaiters) {
  auto fork = sumTo(4).asPromise().fork();
  auto reader = [&]() -> Co<int> { co_return co_await fork.addBranch(); };
  auto first = reader();
  auto second = reader();
  EXPECT_EQ(kj::mv(first).wait(scope) + kj::mv(second).wait(scope), 20);
}

// A type with a constructor may be a temporary in a co_await expression; aggregates may not (see
// co.h).
TEST_F(CoTest, temporariesWithConstructorsSurviveInAwaitExpressions) {
  struct Op {
    explicit Op(std::string path) : path(std::move(path)) {}
    std::string path;
  };
  auto submit = [](Op op) -> Co<std::string> {
    co_await kj::evalLater([] {});
    co_return op.path;
  };
  auto caller = [&]() -> Co<std::string> { co_return co_await submit(Op(std::string(64, 'x'))); };
  EXPECT_EQ(caller().wait(scope), std::string(64, 'x'));
}

TEST_F(CoTest, taskSetTakesCoroutines) {
  std::string failed;
  Tasks tasks([&failed](kj::Exception&& exception) { failed = exception.getDescription().cStr(); });
  tasks.add(nothing());
  tasks.add(throwsKj());
  tasks.onEmpty().wait(scope);
  EXPECT_EQ(failed, "planned");
}

}  // namespace
}  // namespace muster::co_test

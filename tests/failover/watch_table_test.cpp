#include "failover/watch_table.h"

#include <gtest/gtest.h>
#include <kj/async.h>

namespace muster::failover::watch_table_test {
namespace {

class WatchTableTest : public ::testing::Test {
 protected:
  ~WatchTableTest() noexcept override {}

  uint64_t ask(const std::string& path) {
    uint64_t number = table.asked(path);
    table.answered(path);
    return number;
  }
  bool ready(kj::Promise<void>& promise) { return promise.poll(scope); }

  kj::EventLoop loop;
  kj::WaitScope scope{loop};
  WatchTable table;
};

TEST_F(WatchTableTest, aPathKeepsItsNumberUntilItFires) {
  uint64_t first = ask("/a");
  EXPECT_EQ(ask("/a"), first);
  EXPECT_NE(ask("/b"), first);
  table.fire(first);
  EXPECT_NE(ask("/a"), first);
}

TEST_F(WatchTableTest, firingWakesThoseOfThePathOnly) {
  uint64_t a = ask("/a");
  ask("/b");
  auto onA = table.wait("/a");
  auto alsoOnA = table.wait("/a");
  auto onB = table.wait("/b");
  table.fire(a);
  EXPECT_TRUE(ready(onA));
  EXPECT_TRUE(ready(alsoOnA));
  EXPECT_FALSE(ready(onB));
  EXPECT_EQ(table.size(), 1u);
  table.fire(a);  // of an older registration: nobody is there
  table.fire(12345);
}

// The event overtakes the answer of a later look, which registers the same number again.
TEST_F(WatchTableTest, aLookUnderWayKeepsTheNumber) {
  uint64_t number = ask("/a");
  EXPECT_EQ(table.asked("/a"), number);
  table.fire(number);
  table.answered("/a");
  auto waiting = table.wait("/a");
  EXPECT_FALSE(ready(waiting));
  table.fire(number);
  EXPECT_TRUE(ready(waiting));
}

TEST_F(WatchTableTest, wakingAllKeepsTheRegistrations) {
  uint64_t number = ask("/a");
  auto waiting = table.wait("/a");
  table.wakeAll();
  EXPECT_TRUE(ready(waiting));
  EXPECT_EQ(ask("/a"), number);
}

TEST_F(WatchTableTest, theEndRejectsEveryone) {
  ask("/a");
  auto waiting = table.wait("/a");
  table.endAll(KJ_EXCEPTION(DISCONNECTED, "over"));
  EXPECT_TRUE(ready(waiting));
  EXPECT_ANY_THROW(waiting.wait(scope));
  EXPECT_EQ(table.size(), 0u);
}

}  // namespace
}  // namespace muster::failover::watch_table_test

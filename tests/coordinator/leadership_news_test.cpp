#include "coordinator/leadership_news.h"

#include "base/event_loop.h"

#include <gtest/gtest.h>

namespace muster::coordinator::leadership_news_test {
namespace {

using Said = LeadershipNews::Said;

class LeadershipNewsTest : public testing::Test {
 public:
  ~LeadershipNewsTest() noexcept override = default;

 protected:
  // Counts who was told.
  void listen(Said heard, Audience audience = Audience::CLIENT) {
    listening.add(news.after(heard, audience).then([this] { told++; }));
  }
  void turn() {
    for (int i = 0; i < 10; i++) kj::evalLater([] {}).wait(loop.waitScope());
  }

  EventLoop loop;
  LeadershipNews news{loop.timer()};
  size_t told = 0;
  Tasks listening{"listeners"};
};

TEST_F(LeadershipNewsTest, tellsAtOnceWhoKnowsLess) {
  news.note({{3}, true});
  listen({{2}, true});
  listen({{3}, false});
  turn();
  EXPECT_EQ(told, 2u);
}

TEST_F(LeadershipNewsTest, tellsOnChangesOnly) {
  news.note({{3}, false});
  listen({{3}, false});
  news.note({{3}, false});
  turn();
  EXPECT_EQ(told, 0u);
  news.note({{4}, true});
  turn();
  EXPECT_EQ(told, 1u);
}

// A leader between its election and its first commit says nothing yet, while its hello shows the
// new epoch.
TEST_F(LeadershipNewsTest, whoHeardOfAHigherEpochWaitsForIt) {
  news.note({{3}, false});
  listen({{4}, false});
  turn();
  EXPECT_EQ(told, 0u);
  news.note({{4}, true});
  turn();
  EXPECT_EQ(told, 1u);
}

TEST_F(LeadershipNewsTest, tellsWorkersInSlicesAndClientsBeforeThem) {
  for (size_t i = 0; i < 3 * LeadershipNews::WORKERS_AT_ONCE; i++) {
    listen({{1}, false}, Audience::WORKER);
  }
  news.note({{1}, false});
  listen({{1}, false});
  news.note({{2}, true});
  turn();
  EXPECT_EQ(told, 1 + LeadershipNews::WORKERS_AT_ONCE);
  auto deadline = loop.timer().now() + 10 * kj::SECONDS;
  while (told < 1 + 3 * LeadershipNews::WORKERS_AT_ONCE) {
    ASSERT_LT(loop.timer().now(), deadline) << told << " were told";
    loop.timer().afterDelay(1 * kj::MILLISECONDS).wait(loop.waitScope());
  }
}

// Each worker is attached to every coordinator: what the others say of a new leader, all of them
// would hear once for each.
TEST_F(LeadershipNewsTest, tellsWorkersOnlyOfItsOwnBeginning) {
  news.note({{1}, true});
  listen({{1}, true}, Audience::WORKER);
  news.note({{1}, false});
  news.note({{2}, false});
  turn();
  EXPECT_EQ(told, 0u);
  news.note({{3}, true});
  turn();
  EXPECT_EQ(told, 1u);
  listen({{2}, false}, Audience::WORKER);
  turn();
  EXPECT_EQ(told, 2u);
}

TEST_F(LeadershipNewsTest, forgetsWhoHungUp) {
  { auto gone = news.after({{0}, false}, Audience::CLIENT); }
  listen({{0}, false});
  news.note({{1}, false});
  turn();
  EXPECT_EQ(told, 1u);
}

}  // namespace
}  // namespace muster::coordinator::leadership_news_test

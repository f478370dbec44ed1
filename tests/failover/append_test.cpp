// The command log over a real server: append, group commit, barrier, and what goes wrong.
#include "tests/failover/coordinators.h"

#include <gmock/gmock.h>

namespace muster::failover {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using AppendTest = Coordinators<ZkTest>;

TEST_F(AppendTest, theFirstLeaderAppendsAndEveryoneReadsTheSame) {
  bootstrapTree();
  auto co1 = coordinator("co1");
  standAndLead(co1);
  EXPECT_EQ(co1.reason, "first leader");
  EXPECT_EQ(co1.leadership->epoch(), Epoch{1});
  auto first = co1.leadership->append("one");
  EXPECT_EQ(first.index, LogIndex{1});
  patience.await(kj::mv(first.committed));
  auto second = co1.leadership->append("two");
  EXPECT_EQ(second.index, LogIndex{2});
  patience.await(kj::mv(second.committed));
  EXPECT_THAT(wholeLog(), ElementsAre("one", "two"));
  ASSERT_EQ(co1.committed.size(), 2u);
  EXPECT_EQ(co1.committed[1].previousChain, chainAfter(encodeBatch(co1.committed[0])));
}

}  // namespace
}  // namespace muster::failover

// What an exception carries while nobody wants its trace.
#include "base/no_stack_traces.h"

#include <gtest/gtest.h>
#include <kj/debug.h>

namespace muster::no_stack_traces_test {
namespace {

size_t framesOfAnException() {
  KJ_IF_MAYBE (thrown, kj::runCatchingExceptions([] { KJ_FAIL_REQUIRE("no more"); })) {
    return thrown->getStackTrace().size();
  }
  return 0;
}

TEST(NoStackTraces, holdsUntilItsBlockEnds) {
  EXPECT_GT(framesOfAnException(), 0U);
  {
    NoStackTraces quiet;
    EXPECT_EQ(framesOfAnException(), 0U);
  }
  EXPECT_GT(framesOfAnException(), 0U);
}

TEST(NoStackTraces, leavesWhatWasSaidAndWhere) {
  NoStackTraces quiet;
  auto thrown = kj::runCatchingExceptions([] { KJ_FAIL_REQUIRE("no more"); });
  KJ_IF_MAYBE (said, thrown) {
    EXPECT_STREQ(said->getDescription().cStr(), "no more");
    EXPECT_GT(said->getLine(), 0);
  } else {
    FAIL() << "nothing was thrown";
  }
}

}  // namespace
}  // namespace muster::no_stack_traces_test

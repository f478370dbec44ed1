// How a daemon ends that cannot go on.
#include "protocol/daemon_main.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <kj/debug.h>

namespace muster::daemon_main_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// The exit status and what is said on stderr.
std::pair<int, std::string> run(const std::function<int()>& act) {
  testing::internal::CaptureStderr();
  int status = runDaemon("muster-some", act);
  return {status, testing::internal::GetCapturedStderr()};
}

TEST(DaemonMain, endsAsItsWorkEnds) {
  EXPECT_EQ(run([] { return 3; }), std::make_pair(3, std::string()));
}

TEST(DaemonMain, tellsARefusalThatWasThrownAndWhatToDoNext) {
  auto [status, said] = run([]() -> int { KJ_FAIL_REQUIRE("E0706 port 7400 is in use"); });
  EXPECT_EQ(status, EXIT_FAILED);
  EXPECT_THAT(said, AllOf(HasSubstr("port 7400 is in use"), HasSubstr("help: ss -ltnp"),
                          HasSubstr("muster-some --check-config")));
}

TEST(DaemonMain, itsWorkThrowsWithoutStackTraces) {
  size_t frames = 1;
  auto act = [&] {
    KJ_IF_MAYBE (thrown, kj::runCatchingExceptions([] { KJ_FAIL_REQUIRE("no more"); })) {
      frames = thrown->getStackTrace().size();
    }
    return 0;
  };
  EXPECT_EQ(run(act), std::make_pair(0, std::string()));
  EXPECT_EQ(frames, 0u);
}

TEST(DaemonMain, leavesTheFixesThatARefusalHas) {
  testing::internal::CaptureStderr();
  Refusal refusal{RefusalCode::PORT_IN_USE, "taken", {}, {"take another"}};
  EXPECT_EQ(complain(refusal, EXIT_INVALID_FILE, "some.toml"), EXIT_INVALID_FILE);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              AllOf(HasSubstr("help: take another"), Not(HasSubstr("ss -ltnp"))));
}

}  // namespace
}  // namespace muster::daemon_main_test

// Ranks that hang, as real processes: who is named, with what it did last, and who is not.
#include "base/rpc.h"
#include "base/short_socket_path.h"
#include "base/unix_control.h"
#include "protocol/codec.h"
#include "protocol/rank.capnp.h"
#include "tests/worker/frozen_threads.h"
#include "tests/worker/rank_set_fixture.h"
#include "worker/engine/native/operation_board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <signal.h>
#include <string>
#include <sys/stat.h>

namespace muster::worker::rank_hang_test {
namespace {

using testing::HasSubstr;

constexpr Duration STALL = 4_s;

class RankHangTest : public RankSetTest {
 protected:
  // A gang of four in which rank 2 waits for what it shall compute.
  void startGang() {
    auto gang = nativeGang();
    for (auto& one : gang) one.timeouts.stall = STALL;
    startNative(gang);
    std::string board = data_ + "/ranks/7-0-1-2/" + OPERATION_BOARD_NAME;
    waitFor("rank 2 awaits a step", [&] {
      auto last = readOperationBoard(board);
      return last && last->what == RankOperation::AWAIT_STEP;
    });
  }
  void waitUntilRank2HasFailed() {
    waitFor("rank 2 has failed", [&] { return report(2).phase == ReplicaPhase::FAILED; });
    EXPECT_EQ(report(2).reason, Reason::RANK_STALLED);
    for (uint32_t rank : {0u, 1u, 3u}) EXPECT_NE(report(rank).phase, ReplicaPhase::FAILED) << rank;
  }
};

TEST_F(RankHangTest, aStoppedRankIsNamedWithItsLastOperation) {
  startGang();
  ASSERT_EQ(::kill(static_cast<pid_t>(report(2).pid), SIGSTOP), 0);
  waitUntilRank2HasFailed();
  EXPECT_EQ(report(2).message,
            "it hangs: no answer for 4s; its process is stopped; its last operation: wait for the "
            "next step");
  EXPECT_EQ(report(2).firstError, report(2).message);
}

// It says that it is well; the others say that it did not come, before it is named.
TEST_F(RankHangTest, aRankThatAnswersAndComputesNothingIsNamedAndItsVictimsAreNot) {
  startGang();
  FrozenThreads frozen(static_cast<pid_t>(report(2).pid));
  ASSERT_GT(frozen.count(), 0u);
  waitFor("a victim says for whom it waited",
          [&] { return report(0).message.find("rank 2 did not take part") != std::string::npos; });
  waitUntilRank2HasFailed();
  EXPECT_THAT(report(2).message, HasSubstr("it hangs: no operation has ended for 6s"));
  EXPECT_THAT(report(2).message, HasSubstr("its last operation: wait for the next step"));
}

// The agent's side against programs that are no ranks.
class DeafRankTest : public RankSetTest {
 protected:
  // Starts a script instead of muster-rank, as a rank that is given a second for each answer.
  void start(const std::string& script) {
    std::string program = (model_.root / "rank").string();
    SampleModel::write(program, "#!/bin/sh\n" + script + "\n");
    ASSERT_EQ(::chmod(program.c_str(), 0700), 0);
    environment_.rankBinary = program;
    auto one = nativeGang().front();
    one.timeouts.stall = 1_s;
    ranks_->obey({one});
    waitFor("it runs", [&] { return report().pid != 0; });
  }
  void waitUntilItHasFailed() {
    waitForPhase(ReplicaPhase::FAILED);
    EXPECT_EQ(report().reason, Reason::RANK_STALLED);
  }
  std::string socket() const { return data_ + "/ranks/7-0-1-0/control"; }
};

TEST_F(DeafRankTest, aRankThatNeverListensIsNamed) {
  start("kill -STOP $$");
  waitUntilItHasFailed();
  EXPECT_EQ(report().message,
            "it hangs: its control socket did not appear within 5s; its process is stopped");
}

// Says how it is, and never that it has taken its task.
class TasklessRank final : public schema::RankControl::Server {
 protected:
  kj::Promise<void> status(StatusContext context) override {
    encode(RankReport(), context.getResults().initReport());
    return kj::READY_NOW;
  }
  kj::Promise<void> start(StartContext) override { return kj::NEVER_DONE; }
};

TEST_F(DeafRankTest, aRankThatNeverTakesItsTaskIsNamed) {
  start("exec sleep 1000");
  RpcServer server(loop_.timer(), [](const RpcPeer&) {
    return schema::RankControl::Client(kj::heap<TasklessRank>());
  });
  ShortSocketPath path(socket());
  auto listener = listenUnix(loop_.network(), path.path, server.acceptor()).wait(loop_.waitScope());
  waitUntilItHasFailed();
  EXPECT_EQ(report().message, "it hangs: no answer for 1s");
}

}  // namespace
}  // namespace muster::worker::rank_hang_test

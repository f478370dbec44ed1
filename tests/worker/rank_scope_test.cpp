// Real processes, and a stand-in for muster-rank-scope.socket.
#include "worker/rank_scope.h"

#include "base/event_loop.h"
#include "tests/base/temporary_folder.h"

#include <gtest/gtest.h>
#include <kj/async-io.h>

#include <filesystem>
#include <sys/stat.h>

namespace muster::worker::rank_scope_test {
namespace {

class RankScope : public testing::Test {
 public:
  ~RankScope() noexcept override = default;

 protected:
  ProcessSpec shell(const std::string& script) {
    return {.argv = {"/bin/sh", "-c", script},
            .env = {"PATH=/usr/bin:/bin"},
            .stdoutFile = output(),
            .stderrFile = output()};
  }
  std::string output() { return folder_ / "output"; }
  RankScopes scopes() {
    return {.socket = folder_ / "scope.sock",
            .program = std::string(MUSTER_BINARY_DIR) + "/muster-enter-scope"};
  }
  // Answers the next process that connects.
  kj::Promise<void> answerOne(kj::StringPtr text) {
    auto address = loop_.network().parseAddress(("unix:" + scopes().socket).c_str());
    listener_ = address.wait(loop_.waitScope())->listen();
    return listener_->accept().then([this, text](kj::Own<kj::AsyncIoStream> stream) {
      EXPECT_EQ(contentOf(output()), "") << "the program ran before it was moved";
      auto written = stream->write(text.begin(), text.size());
      return written.attach(kj::mv(stream));
    });
  }
  ExitStatus run(const ProcessSpec& spec) {
    auto child = runner_->spawn(spec);
    pid_ = child->id().pid;
    return child->onExit().wait(loop_.waitScope());
  }

  TemporaryFolder folder_;
  EventLoop loop_;
  kj::Own<kj::ConnectionReceiver> listener_;
  kj::Own<ProcessRunner> inner_ = makeProcessRunner(loop_);
  kj::Own<ProcessRunner> runner_ = makeScopedRunner(*inner_, scopes());
  int32_t pid_ = 0;
};

TEST_F(RankScope, isEnteredBeforeTheProgramRunsUnderTheSamePid) {
  auto answering = answerOne("ok\n").eagerlyEvaluate(nullptr);
  EXPECT_TRUE(run(shell("echo $$")).success());
  EXPECT_EQ(contentOf(output()), std::to_string(pid_) + "\n");
}

TEST_F(RankScope, isDoneWithoutWhereNobodyMakesThem) {
  EXPECT_TRUE(run(shell("echo here")).success());
  EXPECT_EQ(contentOf(output()), "here\n");
}

TEST_F(RankScope, isNotWorthLosingARankFor) {
  auto answering = answerOne("Access denied\n").eagerlyEvaluate(nullptr);
  EXPECT_TRUE(run(shell("echo here")).success());
  EXPECT_EQ(contentOf(output()),
            "muster: no scope of its own for this rank (Access denied); it runs in the worker's\n"
            "here\n");
}

TEST_F(RankScope, saysWhichProgramCannotBeStarted) {
  auto answering = answerOne("ok\n").eagerlyEvaluate(nullptr);
  auto spec = shell("");
  spec.argv = {"/nowhere/engine"};
  EXPECT_EQ(run(spec).code, 127);
  EXPECT_EQ(contentOf(output()), "cannot start /nowhere/engine: No such file or directory\n");
}

}  // namespace
}  // namespace muster::worker::rank_scope_test

#include "base/process.h"

#include "base/event_loop.h"
#include "tests/base/temporary_folder.h"

#include <gtest/gtest.h>
#include <kj/debug.h>
#include <kj/io.h>

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <set>
#include <signal.h>
#include <sstream>
#include <stdlib.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace muster::process_test {
namespace {

ProcessSpec shell(std::string script) {
  ProcessSpec spec;
  spec.argv = {"sh", "-c", std::move(script)};
  spec.env = {"PATH=/usr/bin:/bin"};
  return spec;
}

class ProcessTest : public testing::Test {
 public:
  ~ProcessTest() noexcept override = default;

 protected:
  template <class T>
  T within(kj::Promise<T> promise) {
    return loop.timer().timeoutAfter(20 * kj::SECONDS, kj::mv(promise)).wait(loop.waitScope());
  }
  std::string outputOf(ProcessSpec spec) {
    spec.stdoutFile = folder / "out";
    auto child = runner->spawn(spec);
    EXPECT_EQ(within(child->onExit()), (ExitStatus{.known = true}));
    return contentOf(folder / "out");
  }

  TemporaryFolder folder;
  EventLoop loop;
  kj::Own<ProcessRunner> runner = makeProcessRunner(loop);
};

TEST_F(ProcessTest, tellsExitCodeAndSignal) {
  auto failing = runner->spawn(shell("exit 7"));
  auto killed = runner->spawn(shell("kill -9 $$"));
  EXPECT_EQ(within(failing->onExit()), (ExitStatus{.known = true, .code = 7}));
  EXPECT_EQ(within(killed->onExit()), (ExitStatus{.known = true, .signal = SIGKILL}));
  EXPECT_EQ(within(failing->onExit()).code, 7) << "the answer stays";
  EXPECT_EQ(toText(within(killed->onExit())), "signal 9 (Killed)");
}

TEST_F(ProcessTest, fiftyChildrenAtOnceAreAllReaped) {
  std::vector<kj::Own<ChildProcess>> children;
  for (int i = 0; i < 50; i++)
    children.push_back(runner->spawn(shell("exit " + std::to_string(i))));
  for (int i = 0; i < 50; i++) EXPECT_EQ(within(children[i]->onExit()).code, i);
}

TEST_F(ProcessTest, passesArgumentsFolderAndExactlyTheGivenEnvironment) {
  auto spec = shell("");
  spec.argv = {"env"};
  spec.env = {"PATH=/usr/bin:/bin", "RANK=3"};
  EXPECT_EQ(outputOf(spec), "PATH=/usr/bin:/bin\nRANK=3\n");
  auto inFolder = shell("pwd");
  inFolder.cwd = std::filesystem::canonical(folder.path());
  std::filesystem::remove(folder / "out");
  EXPECT_EQ(outputOf(inFolder), inFolder.cwd + "\n");
}

TEST_F(ProcessTest, appendsBothStreamsToOneFile) {
  for (int i = 0; i < 2; i++) {
    auto spec = shell("echo out; echo error >&2");
    spec.stdoutFile = spec.stderrFile = folder / "log";
    within(runner->spawn(spec)->onExit());
  }
  EXPECT_EQ(contentOf(folder / "log"), "out\nerror\nout\nerror\n");
}

TEST_F(ProcessTest, childInheritsOnlyWhatIsNamed) {
  kj::AutoCloseFd forgotten(
      open("/dev/zero", O_RDONLY));  // as a library without O_CLOEXEC leaves it
  int high = fcntl(forgotten, F_DUPFD, 50);
  kj::AutoCloseFd alsoForgotten(high);
  int ends[2];
  KJ_SYSCALL(pipe2(ends, O_CLOEXEC));
  kj::AutoCloseFd readEnd(ends[0]), writeEnd(ends[1]);
  auto spec = shell("echo hello >&3; exec sleep 100");
  spec.inheritedFds = {writeEnd.get()};
  auto child = runner->spawn(spec);
  auto openIn = [](int32_t pid) -> std::set<std::string> {
    std::set<std::string> open;
    for (auto& entry :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
      open.insert(entry.path().filename().string());
    }
    return open;
  };
  // The shell itself opens some for a moment; what it inherited would stay.
  const std::set<std::string> WANTED{"0", "1", "2", "3"};
  for (int i = 0; i < 2000 && openIn(child->id().pid) != WANTED; i++) {
    within(loop.timer().afterDelay(5 * kj::MILLISECONDS));
  }
  EXPECT_EQ(openIn(child->id().pid), WANTED);
  char text[6] = {};
  ASSERT_EQ(read(readEnd, text, 5), 5);
  EXPECT_STREQ(text, "hello");
  child->kill(SIGKILL);
  within(child->onExit());
}

TEST_F(ProcessTest, missingProgramIsNamed) {
  auto spec = shell("");
  spec.argv = {"/no/such/program"};
  auto exception = kj::runCatchingExceptions([&] { runner->spawn(spec); });
  KJ_IF_MAYBE (e, exception) {
    std::string text = e->getDescription().cStr();
    EXPECT_NE(text.find("/no/such/program"), std::string::npos) << text;
    EXPECT_NE(text.find("no such file"), std::string::npos) << text;
  } else {
    FAIL() << "started";
  }
}

TEST_F(ProcessTest, killIsRefusedOnceItHasEnded) {
  auto child = runner->spawn(shell("exec sleep 100"));
  EXPECT_TRUE(child->kill(SIGTERM));
  EXPECT_EQ(within(child->onExit()).signal, SIGTERM);
  EXPECT_FALSE(child->kill(SIGTERM));
}

TEST_F(ProcessTest, groupKillReachesGrandchildren) {
  int ends[2];
  KJ_SYSCALL(pipe2(ends, O_CLOEXEC | O_NONBLOCK));
  kj::AutoCloseFd readEnd(ends[0]), writeEnd(ends[1]);
  auto spec = shell("sleep 100 & echo started >&3; wait");
  spec.inheritedFds = {writeEnd.get()};
  auto child = runner->spawn(spec);
  writeEnd = nullptr;
  auto input = loop.lowLevelProvider().wrapInputFd(readEnd.get());
  char text[9] = {};
  within(input->read(text, 8));
  EXPECT_TRUE(child->kill(SIGKILL, KillScope::GROUP));
  within(child->onExit());
  // The pipe ends only when the grandchild, which holds it too, is gone.
  EXPECT_EQ(within(input->tryRead(text, 1, 1)), 0u);
}

TEST_F(ProcessTest, droppedHandleLeavesTheProcessRunningAndReapsIt) {
  ProcessId id;
  {
    auto child = runner->spawn(shell("exec sleep 100"));
    id = child->id();
  }
  ASSERT_TRUE(readProcessStat(id.pid).has_value());
  EXPECT_EQ(readProcessStat(id.pid)->startTicks, id.startTicks);
  KJ_SYSCALL(::kill(id.pid, SIGKILL));
  auto gone = [&]() -> bool { return !readProcessStat(id.pid).has_value(); };
  for (int i = 0; i < 2000 && !gone(); i++) within(loop.timer().afterDelay(5 * kj::MILLISECONDS));
  EXPECT_TRUE(gone()) << "a zombie is left";
}

TEST_F(ProcessTest, endedProcessStillHasItsStartTime) {
  auto child = runner->spawn(shell("exit 0"));
  EXPECT_NE(child->id().startTicks, 0u);
  within(child->onExit());
}

// A process whose parent is gone, as a rank is after its agent died.
class Orphan {
 public:
  Orphan() {
    int ends[2];
    KJ_SYSCALL(pipe2(ends, O_CLOEXEC));
    kj::AutoCloseFd readEnd(ends[0]), writeEnd(ends[1]);
    pid_t parent = fork();
    if (parent == 0) {
      if (fork() != 0) _exit(0);
      setsid();
      pid_t self = getpid();
      if (write(writeEnd, &self, sizeof(self)) != sizeof(self)) _exit(1);
      execl("/bin/sleep", "sleep", "100", nullptr);
      _exit(127);
    }
    pid_t pid = 0;
    KJ_REQUIRE(read(readEnd, &pid, sizeof(pid)) == sizeof(pid));
    waitpid(parent, nullptr, 0);
    id = ProcessId{pid, readProcessStat(pid).value().startTicks};
  }
  ~Orphan() { ::kill(id.pid, SIGKILL); }
  ProcessId id;
};

TEST_F(ProcessTest, adoptsAnOrphanAndSeesItsEnd) {
  Orphan orphan;
  auto adopted = KJ_ASSERT_NONNULL(runner->adopt(orphan.id));
  auto exit = adopted->onExit();
  EXPECT_FALSE(exit.poll(loop.waitScope()));
  EXPECT_TRUE(adopted->kill(SIGKILL, KillScope::GROUP));
  auto status = within(kj::mv(exit));
  EXPECT_FALSE(status.known);
  EXPECT_FALSE(status.success());
}

TEST_F(ProcessTest, refusesToAdoptAnotherProcessWithThatPid) {
  Orphan orphan;
  auto other = orphan.id;
  other.startTicks++;
  EXPECT_TRUE(runner->adopt(other) == nullptr);
}

TEST_F(ProcessTest, refusesToAdoptWhatHasEnded) {
  auto child = runner->spawn(shell("exit 0"));
  within(child->onExit());
  EXPECT_TRUE(runner->adopt(child->id()) == nullptr);
}

TEST(ProcessDeathTest, childHasNoSignalBlockedThoughWeCaptureSome) {
  auto run = [] {
    TemporaryFolder folder;
    EventLoop loop(TerminationSignals::CAPTURE);
    auto runner = makeProcessRunner(loop);
    auto spec = shell("grep SigBlk /proc/self/status");
    spec.stdoutFile = folder / "out";
    runner->spawn(spec)->onExit().wait(loop.waitScope());
    bool free = contentOf(folder / "out") == "SigBlk:\t0000000000000000\n";
    std::filesystem::remove_all(folder.path());
    _exit(free ? 0 : 1);
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(0), "");
}

TEST(Process, loopClosesCleanlyWhileChildrenRun) {
  EventLoop loop;
  auto runner = makeProcessRunner(loop);
  auto child = runner->spawn(shell("exec sleep 100"));
  auto id = child->id();
  child = nullptr;
  runner = nullptr;
  ASSERT_TRUE(readProcessStat(id.pid).has_value()) << "it outlives its runner";
  KJ_SYSCALL(::kill(id.pid, SIGKILL));
  KJ_SYSCALL(waitpid(id.pid, nullptr, 0));
}

}  // namespace
}  // namespace muster::process_test

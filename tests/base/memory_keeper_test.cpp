#include "base/memory_keeper.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <poll.h>
#include <signal.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace muster::memory_keeper_test {
namespace {

// A process that has a keeper and waits to be killed.
class MemoryKeeperTest : public testing::Test {
 public:
  ~MemoryKeeperTest() noexcept override = default;

 protected:
  MemoryKeeperTest() {
    std::array<int, 2> told{};
    std::array<int, 2> inherited{};
    EXPECT_EQ(pipe(told.data()), 0);
    EXPECT_EQ(pipe(inherited.data()), 0);
    kept = fork();
    if (kept == 0) {
      setpgid(0, 0);
      MemoryKeeper own;
      pid_t made = own.process().value_or(0);
      if (write(told[1], &made, sizeof made) != sizeof made) _exit(1);
      for (;;) pause();
    }
    close(told[1]);
    close(inherited[1]);
    EXPECT_EQ(read(told[0], &keeper, sizeof keeper), static_cast<ssize_t>(sizeof keeper));
    close(told[0]);
    openBefore = inherited[0];
  }
  void TearDown() override {
    close(openBefore);
    if (kept > 0) kill(kept, SIGKILL), waitpid(kept, nullptr, 0);
  }

  void endKept(pid_t target, int signal) {
    ASSERT_EQ(kill(target, signal), 0);
    ASSERT_EQ(waitpid(kept, nullptr, 0), kept);
    kept = 0;
  }
  // A file that the process had open when it got its keeper is closed by everybody.
  bool filesAreClosed() const {
    pollfd file{openBefore, POLLIN, 0};
    return poll(&file, 1, 20'000) == 1 && (file.revents & POLLHUP) != 0;
  }
  bool runs(pid_t process) const {
    std::ifstream file("/proc/" + std::to_string(process) + "/stat");
    std::string text;
    std::getline(file, text);
    auto end = text.rfind(')');
    return end != std::string::npos && text[end + 2] != 'Z';
  }
  bool keeperEnds() const {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (runs(keeper) && std::chrono::steady_clock::now() < deadline) sched_yield();
    return !runs(keeper);
  }

  pid_t kept = 0;
  pid_t keeper = 0;
  int openBefore = -1;
};

TEST_F(MemoryKeeperTest, aKilledProcessLeavesNeitherFilesNorItsKeeperBehind) {
  ASSERT_GT(keeper, 0);
  EXPECT_TRUE(runs(keeper));
  endKept(kept, SIGKILL);
  EXPECT_TRUE(filesAreClosed());
  EXPECT_TRUE(keeperEnds());
}

TEST_F(MemoryKeeperTest, aSignalToTheProcessGroupDoesNotReachTheKeeper) {
  ASSERT_GT(keeper, 0);
  EXPECT_NE(getpgid(keeper), kept);
  endKept(-kept, SIGKILL);
  EXPECT_TRUE(keeperEnds());
}

TEST_F(MemoryKeeperTest, theKeeperItselfEndsByNoOtherSignalThanKill) {
  ASSERT_GT(keeper, 0);
  for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) EXPECT_EQ(kill(keeper, signal), 0);
  EXPECT_TRUE(runs(keeper));
  EXPECT_TRUE(runs(kept));
  endKept(kept, SIGTERM);
  EXPECT_TRUE(keeperEnds());
}

TEST_F(MemoryKeeperTest, theDeathOfTheKeeperHarmsNobody) {
  ASSERT_GT(keeper, 0);
  ASSERT_EQ(kill(keeper, SIGKILL), 0);
  EXPECT_TRUE(keeperEnds());
  EXPECT_TRUE(runs(kept));
  endKept(kept, SIGKILL);
  EXPECT_TRUE(filesAreClosed());
}

TEST(MemoryKeeper, isGoneWhenItsOwnerIs) {
  pid_t process = 0;
  {
    MemoryKeeper keeper;
    ASSERT_TRUE(keeper.process());
    process = *keeper.process();
    EXPECT_EQ(kill(process, 0), 0);
  }
  EXPECT_NE(kill(process, 0), 0);
}

}  // namespace
}  // namespace muster::memory_keeper_test

#include "base/files.h"
#include "cli/local_cluster/cluster_file.h"
#include "cli/local_cluster/commands.h"
#include "tests/base/temporary_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <sys/wait.h>
#include <unistd.h>

namespace muster::cli::down_test {
namespace {

FreePorts ports;  // of the plans

using ::testing::HasSubstr;

// A directory whose cluster "runs": one worker, a child process that only waits.
class DownTest : public testing::Test {
 public:
  DownTest() : layout{folder.path()} {
    auto plan = drawPlan({}, layout, ports, FirstPort::LEAVE);
    write(layout.planFile(), toJson(*plan));
    child = fork();
    if (child == 0) {
      pause();
      _exit(0);
    }
    ClusterFile file{"local", {}, {}};
    ProcessId process{child, readProcessStat(child)->startTicks};
    file.processes.push_back({"worker", "w1", process, {}, ""});
    write(layout.clusterFile(), toJson(file));
  }
  ~DownTest() noexcept override {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }

 protected:
  static void write(const std::string& path, const std::string& content) {
    ASSERT_TRUE(writeFileAtomically(path, content, 0644).ok());
  }
  int down(const std::string& typed) {
    TerminalStreams streams{.out = [](std::string_view) {},
                            .err = [this](std::string_view text) { err += text; },
                            .readLine = [&] { return std::optional(typed); },
                            .inIsTerminal = true,
                            .outIsTerminal = true,
                            .errIsTerminal = true};
    Environment environment{{"TERM", "dumb"}};
    Terminal terminal({}, streams, environment);
    return runDown({.directory = folder.path()}, terminal, environment);
  }
  bool childRuns() const { return ::waitpid(child, nullptr, WNOHANG) == 0; }

  TemporaryFolder folder;
  LocalLayout layout;
  pid_t child = 0;
  std::string err;
};

TEST_F(DownTest, asksAPersonBeforeAClusterThatRunsIsStopped) {
  EXPECT_EQ(down("n"), 1);
  EXPECT_THAT(err, HasSubstr("this stops cluster local in " + folder.path() +
                             ": 3 coordinators, 4 workers, and every rank that serves"));
  EXPECT_THAT(err, HasSubstr("stop it? [y/N]"));
  EXPECT_THAT(err, HasSubstr("nothing was changed"));
  EXPECT_TRUE(childRuns());
}

}  // namespace
}  // namespace muster::cli::down_test

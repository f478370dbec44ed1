// What the doctor says of a cluster of `muster up`. Its processes are this one, which runs, and one
// that cannot be.
#include "cli/local_cluster/local_doctor.h"

#include "base/files.h"
#include "base/process.h"
#include "cli/local_cluster/cluster_file.h"
#include "cli/local_cluster/local_plan.h"
#include "tests/base/temporary_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <unistd.h>

namespace muster::cli::local_doctor_test {
namespace {

FreePorts ports;  // of the plans

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::Not;

auto line(Verdict verdict, const std::string& subject, const std::string& text) {
  return AllOf(Field(&Check::verdict, verdict), Field(&Check::subject, subject),
               Field(&Check::text, HasSubstr(text)));
}
auto fixed(const std::string& text) { return Field(&Check::fix, HasSubstr(text)); }

class LocalDoctor : public testing::Test {
 public:
  LocalDoctor() : layout{folder.path()} {
    write(layout.planFile(), toJson(*drawPlan({}, layout, ports, FirstPort::LEAVE)));
  }

 protected:
  static void write(const std::string& path, const std::string& content) {
    ASSERT_TRUE(writeFileAtomically(path, content, 0644).ok());
  }
  static ProcessId self() { return {getpid(), readProcessStat(getpid())->startTicks}; }
  static ProcessId stranger() { return {getpid(), readProcessStat(getpid())->startTicks + 1}; }
  Checks checksOf(std::vector<LocalProcess> processes) {
    ClusterFile file{"local", {"127.0.0.1:1"}, std::move(processes)};
    write(layout.clusterFile(), toJson(file));
    return checkLocalCluster(layout, WallTime{});
  }

  TemporaryFolder folder;
  LocalLayout layout;
};

TEST_F(LocalDoctor, knowsTheClusterByItsContextFile) {
  EXPECT_EQ(localClusterOf(layout.contextFile())->root, folder.path());
  EXPECT_EQ(localClusterOf(folder / "./context.toml")->root, folder.path());
  EXPECT_FALSE(localClusterOf(folder / "prod.toml"));
  std::filesystem::remove(layout.planFile());
  EXPECT_FALSE(localClusterOf(layout.contextFile()));
}

TEST_F(LocalDoctor, seesWhichProcessesDoNotRunAndHowTheyAreStarted) {
  auto checks = checksOf({{"coordinator", "co1", self(), {}, ""},
                          {"worker", "w1", stranger(), {}, ""},
                          {"supervisor", "supervisor", stranger(), {}, ""}});
  std::string up = "muster up --detach --dir " + folder.path() + " starts ";
  EXPECT_THAT(checks, Contains(line(Verdict::OK, "process co1", "runs, pid")));
  EXPECT_THAT(checks, Contains(AllOf(line(Verdict::FAILED, "process w1", "does not run"), fixed(up),
                                     fixed("/logs/w1.log"))));
  EXPECT_THAT(checks,
              Contains(AllOf(line(Verdict::FAILED, "process supervisor", "is not started again"),
                             fixed(up))));
  EXPECT_THAT(
      checks,
      Contains(AllOf(line(Verdict::FAILED, "zookeeper 127.0.0.1:1", "does not serve"), fixed(up))));
  EXPECT_THAT(checks, Not(Contains(fixed("systemctl"))));
  EXPECT_THAT(checks, Not(Contains(fixed("ansible"))));
}

// One cause; what follows from it is not listed.
TEST_F(LocalDoctor, saysOnceThatAClusterIsStopped) {
  auto checks =
      checksOf({{"coordinator", "co1", stranger(), {}, ""}, {"worker", "w1", stranger(), {}, ""}});
  std::erase_if(checks, [](const Check& check) { return check.subject == "disk"; });
  EXPECT_THAT(checks, ElementsAre(AllOf(line(Verdict::FAILED, "cluster", "is stopped"),
                                        fixed("muster up --detach --dir " + folder.path()))));
}

TEST_F(LocalDoctor, saysThatItCannotTellWithoutClusterJson) {
  EXPECT_THAT(checkLocalCluster(layout, WallTime{}),
              Contains(AllOf(line(Verdict::FAILED, "cluster", "no cluster.json"),
                             fixed("muster up --detach --dir "))));
}

}  // namespace
}  // namespace muster::cli::local_doctor_test

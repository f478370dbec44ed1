// What the doctor says of a cluster's own words and of files.
#include "base/pki.h"
#include "cli/doctor/certificate_checks.h"
#include "cli/doctor/cluster_checks.h"
#include "cli/doctor/coordinator_file.h"
#include "cli/doctor/machine_checks.h"
#include "cli/doctor/port_checks.h"
#include "tests/base/temporary_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>
#include <unistd.h>

namespace muster::cli::doctor_test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::SizeIs;

auto verdict(Verdict wanted) { return Field(&Check::verdict, wanted); }
auto finding(Verdict wanted, const std::string& text) {
  return AllOf(verdict(wanted), Field(&Check::text, HasSubstr(text)));
}

Json coordinator(const std::string& id, const std::string& hash) {
  return {{"id", id},           {"stage", "standby"},     {"applied_index", 7},
          {"state_hash", hash}, {"reachable", true},      {"address", id + ":7401"},
          {"wrong_guesses", 0}, {"alarms", Json::array()}};
}

Json healthy() {
  return {{"leader", {{"id", "co1"}}},
          {"epoch", 3},
          {"coordinators", {coordinator("co1", "aa"), coordinator("co2", "aa")}}};
}

TEST(Doctor, findsNothingInAHealthyCluster) {
  EXPECT_THAT(checkCoordinators(healthy()), Each(verdict(Verdict::OK)));
}

TEST(Doctor, seesWhatIsWrongWithCoordinators) {
  struct Case {
    const char* name;
    Json patch;
    Verdict verdict;
    const char* text;
  };
  const Case CASES[] = {
      {"no leader",
       {{{"op", "replace"}, {"path", "/leader/id"}, {"value", ""}}},
       Verdict::FAILED,
       "no coordinator leads"},
      {"one is away",
       {{{"op", "replace"}, {"path", "/coordinators/1/reachable"}, {"value", false}}},
       Verdict::FAILED,
       "not reached at co2:7401"},
      {"states differ",
       {{{"op", "replace"}, {"path", "/coordinators/1/state_hash"}, {"value", "bb"}}},
       Verdict::FAILED,
       "co2 differs from others at index 7"},
      {"an alarm",
       {{{"op", "add"},
         {"path", "/coordinators/0/alarms/-"},
         {"value", {{"name", "log_lost"}, {"text", "batches are gone"}}}}},
       Verdict::FAILED,
       "log_lost: batches are gone"},
      {"a wrong guess",
       {{{"op", "replace"}, {"path", "/coordinators/0/wrong_guesses"}, {"value", 2}}},
       Verdict::WARNING,
       "leaders that lived and were taken for dead: 2"},
  };
  for (const Case& c : CASES) {
    SCOPED_TRACE(c.name);
    EXPECT_THAT(checkCoordinators(healthy().patch(c.patch)), Contains(finding(c.verdict, c.text)));
  }
}

// A cluster of which nothing is well, and the fixes for it.
std::vector<std::string> fixesOfIllCluster(const Remedies& remedies) {
  Json status = healthy();
  status["leader"]["id"] = "";
  status["coordinators"][1]["reachable"] = false;
  auto node = [](const char* name, const char* phase) -> Json {
    return {{"name", name}, {"version", "0.2.0"}, {"status", {{"phase", phase}, {"message", ""}}}};
  };
  std::vector<std::string> fixes;
  auto addFailed = [&](const Checks& checks) {
    for (const Check& check : checks) {
      if (check.verdict != Verdict::OK) fixes.push_back(check.fix);
    }
  };
  addFailed(checkCoordinators(status, remedies));
  addFailed(checkNodes({{"items", {node("w1", "Lost")}}}, "0.1.0", remedies));
  addFailed(checkZookeepers({"127.0.0.1:1"}, {.servers = 1, .remedies = remedies}));
  return fixes;
}

TEST(Doctor, advisesUnitsWhereThereAreUnits) {
  EXPECT_THAT(fixesOfIllCluster(Remedies()),
              ElementsAre(HasSubstr("a majority of ZooKeeper"),
                          HasSubstr("systemctl status muster-coordinator"),
                          HasSubstr("systemctl status muster-worker"), HasSubstr("upgrade.yml"),
                          HasSubstr("systemctl status muster-zookeeper"),
                          HasSubstr("start a majority of the servers")));
}

TEST(Doctor, advisesTheCommandsOfALocalCluster) {
  std::string up = "muster up --detach --dir /tmp/c starts ";
  EXPECT_THAT(fixesOfIllCluster(Remedies("/tmp/c")),
              ElementsAre(up + "what is missing; logs: /tmp/c/logs",
                          up + "it if it does not run; its log: /tmp/c/logs/co2.log",
                          up + "it if it does not run; its log: /tmp/c/logs/w1.log",
                          "muster down --dir /tmp/c, then muster up --detach --dir /tmp/c",
                          HasSubstr(up), HasSubstr(up)));
}

TEST(Doctor, seesNodesThatAreLostCordonedOrOfAnotherVersion) {
  auto node = [](const char* name, const char* phase, const char* version) -> Json {
    return {{"name", name}, {"version", version}, {"status", {{"phase", phase}, {"message", ""}}}};
  };
  Json nodes = {{"items",
                 {node("w1", "Ready", "0.1.0"), node("w2", "Lost", "0.1.0"),
                  node("w3", "Cordoned", "0.1.0"), node("w4", "Ready", "0.2.0")}}};
  auto checks = checkNodes(nodes, "0.1.0");
  EXPECT_THAT(checks, Contains(finding(Verdict::OK, "Ready")));
  EXPECT_THAT(checks, Contains(finding(Verdict::FAILED, "Lost")));
  EXPECT_THAT(checks, Contains(finding(Verdict::WARNING, "Cordoned")));
  EXPECT_THAT(checks, Contains(finding(Verdict::WARNING, "runs 0.2.0, this command is 0.1.0")));
}

TEST(Doctor, seesCertificatesThatEndSoonOrHaveEnded) {
  TemporaryFolder folder;
  createCa(folder.path(), {"test"});
  auto files = issueCertificate(
      folder.path(), {.identity = {Role::WORKER, "w1"}, .cluster = {"test"}}, folder.path());
  WallTime end = readCertificate(files.certificate).notAfter;
  constexpr int64_t DAY = 86'400'000;
  struct Case {
    int64_t daysBefore;
    Verdict verdict;
    const char* text;
  };
  for (const Case& c :
       {Case{31, Verdict::OK, "ends in 31 days"}, Case{29, Verdict::WARNING, "ends in 29 days"},
        Case{-1, Verdict::FAILED, "ended on "}}) {
    SCOPED_TRACE(c.daysBefore);
    WallTime now{end.unixMs - c.daysBefore * DAY};
    EXPECT_THAT(checkCertificates(folder.path(), now),
                Contains(AllOf(finding(c.verdict, c.text), finding(c.verdict, "worker/w1"))));
  }
  std::ofstream(folder / "broken.crt") << "nothing of the kind";
  EXPECT_THAT(checkCertificates(folder.path(), end),
              Contains(finding(Verdict::FAILED, "cannot be read")));
}

// ZooKeeper's is in one file with its key.
TEST(Doctor, seesCertificatesInPemFilesAndLeavesKeysAlone) {
  TemporaryFolder folder;
  createCa(folder.path(), {"test"});
  auto files = issueCertificate(
      folder.path(), {.identity = {Role::WORKER, "w1"}, .cluster = {"test"}}, folder.path());
  TemporaryFolder zookeeper;
  std::ofstream(zookeeper / "key.pem") << contentOf(files.key);
  std::ofstream(zookeeper / "server.pem") << contentOf(files.key) << contentOf(files.certificate);
  WallTime end = readCertificate(files.certificate).notAfter;
  EXPECT_THAT(checkCertificates(zookeeper.path(), end),
              ElementsAre(AllOf(finding(Verdict::FAILED, "server.pem) ended on "),
                                Field(&Check::fix, HasSubstr("certs.yml")))));
}

auto door(uint16_t port) { return Field(&Check::subject, "port " + std::to_string(port)); }

TEST(Doctor, seesWhichDaemonsListen) {
  TemporaryFolder folder;
  EXPECT_THAT(checkPorts(folder.path()), testing::IsEmpty());
  std::ofstream(folder / "coordinator.toml") << "[http]\nlisten = \"[::]:7400\"\n";
  std::ofstream(folder / "gateway.toml") << "";
  EXPECT_THAT(checkPorts(folder.path(), {7402}),
              ElementsAre(AllOf(door(7400), finding(Verdict::FAILED, "does not listen (API)")),
                          AllOf(door(7401), finding(Verdict::FAILED, "does not listen (RPC)")),
                          AllOf(door(7402), finding(Verdict::OK, "muster-gateway listens"))));
}

TEST(Doctor, seesWhetherAWorkerListensWhereItsFileSays) {
  TemporaryFolder folder;
  auto worker = [&](const std::string& text) { std::ofstream(folder / "worker.toml") << text; };
  worker("[http]\nlisten = \"10.0.0.3:7412\"\n[weights]\nlisten = \"10.0.0.3:7411\"\n");
  EXPECT_THAT(
      checkPorts(folder.path(), {7412}),
      ElementsAre(AllOf(door(7412), finding(Verdict::OK, "muster-worker listens (metrics)")),
                  AllOf(door(7411), finding(Verdict::FAILED, "(weights for other nodes)"),
                        Field(&Check::fix, "systemctl status muster-worker"))));
  EXPECT_THAT(checkPorts(folder.path(), {7411, 7412}),
              AllOf(SizeIs(2), Each(verdict(Verdict::OK))));
  worker("[http]\nlisten = \"0.0.0.0:9000\"\n[weights]\nlisten = \"127.0.0.1:0\"\n");
  EXPECT_THAT(checkPorts(folder.path(), {}), ElementsAre(door(9000)));
  worker("node = \"m1\"\n");  // serves nobody
  EXPECT_THAT(checkPorts(folder.path(), {}), testing::IsEmpty());
}

TEST(Doctor, saysWhichFileKeepsItFromCheckingPorts) {
  TemporaryFolder folder;
  std::ofstream(folder / "worker.toml") << "[http\n";
  EXPECT_THAT(checkPorts(folder.path(), {}),
              ElementsAre(AllOf(finding(Verdict::WARNING, "worker.toml cannot be read"),
                                Field(&Check::fix, HasSubstr("--check-config")))));
}

TEST(Doctor, seesAZookeeperServerThatDoesNotServe) {
  EXPECT_THAT(checkZookeepers({"127.0.0.1:1", "[::1]:1", "nonsense"}, {}),
              AllOf(SizeIs(3), Each(finding(Verdict::FAILED, "does not serve"))));
}

TEST(Doctor, knowsTheServersAndSessionsOfThisCoordinator) {
  TemporaryFolder folder;
  std::ofstream(folder / "coordinator.toml")
      << "cluster = \"test\"\nid = \"co1\"\n[zookeeper]\nservers = [\"127.0.0.1:1\", "
         "\"127.0.0.1:2\"]\nsession_timeout = \"400ms\"\n[[peers]]\nid = \"co1\"\n";
  auto read = readCoordinatorFile(folder / "coordinator.toml");
  ASSERT_TRUE(read);
  EXPECT_THAT(read->zookeepers, ElementsAre("127.0.0.1:1", "127.0.0.1:2"));
  EXPECT_EQ(read->session, 400_ms);
  EXPECT_FALSE(readCoordinatorFile(folder / "missing.toml"));
  EXPECT_FALSE(readCoordinatorFile(folder.path()));

  MachinePaths paths{folder.path(), folder / "none", folder / "none", folder / "none"};
  EXPECT_THAT(checkMachine(paths, WallTime{}),
              IsSupersetOf({AllOf(Field(&Check::subject, "zookeeper 127.0.0.1:2"),
                                  finding(Verdict::FAILED, "does not serve")),
                            AllOf(Field(&Check::subject, "zookeeper ensemble"),
                                  finding(Verdict::FAILED, "no server serves"))}));
}

TEST(Doctor, seesAClockThatNobodyKeepsOrThatMayBeOff) {
  EXPECT_THAT(checkClock({TimeService::NONE, 0_ms}),
              ElementsAre(finding(Verdict::WARNING, "kept by no time service")));
  EXPECT_THAT(checkClock({TimeService::THERE, 1500_ms}),
              ElementsAre(finding(Verdict::WARNING, "may be off by 1500ms")));
  EXPECT_THAT(checkClock({TimeService::THERE, 3_ms}),
              ElementsAre(finding(Verdict::OK, "kept by a time service")));
  EXPECT_GE(readClock().errorMax.nanos, 0);
}

TEST(Doctor, comparesTheClockWithACoordinators) {
  struct Case {
    const char* name;
    const char* time;
    Verdict verdict;
    const char* text;
  };
  constexpr WallTime ASKED{1'700'000'000'000};  // 22:13:20
  constexpr WallTime ANSWERED{ASKED.unixMs + 500};
  const Case CASES[] = {
      {"equal", "2023-11-14T22:13:20.250Z", Verdict::OK, "agrees"},
      {"a little behind", "2023-11-14T22:13:22.500Z", Verdict::OK, "agrees"},
      {"behind", "2023-11-14T22:13:25.500Z", Verdict::WARNING, "is 5s behind the coordinator's"},
      {"ahead", "2023-11-14T21:13:20.000Z", Verdict::WARNING, "is 1h ahead of the coordinator's"},
  };
  for (const Case& c : CASES) {
    SCOPED_TRACE(c.name);
    EXPECT_THAT(checkClockBeside({{"time", c.time}}, ASKED, ANSWERED),
                ElementsAre(finding(c.verdict, c.text)));
  }
  EXPECT_THAT(checkClockBeside(healthy(), ASKED, ANSWERED), testing::IsEmpty());  // an older one
}

// A driver's tool of our own, which tells of this process.
TEST(Doctor, seesStrangersOnTheGpus) {
  TemporaryFolder folder;
  std::string pid = std::to_string(getpid());
  std::ofstream(folder / "nvidia-smi") << "#!/bin/sh\necho '" << pid << ", 9800 MiB, GPU-1'\n";
  std::filesystem::permissions(folder / "nvidia-smi", std::filesystem::perms::owner_all);
  std::string before = getenv("PATH");
  setenv("PATH", (folder.path() + ":" + before).c_str(), 1);
  auto checks = checkGpus();
  setenv("PATH", before.c_str(), 1);
  EXPECT_THAT(checks, ElementsAre(AllOf(finding(Verdict::WARNING, "pid " + pid + ", 9800 MiB"),
                                        Field(&Check::fix, "ps -fp " + pid))));
}

TEST(Doctor, saysHowMuchOfADiskIsFree) {
  EXPECT_THAT(checkDisk("/"), Contains(Field(&Check::text, HasSubstr("free"))));
  EXPECT_THAT(checkDisk("/nowhere"), testing::IsEmpty());
}

}  // namespace
}  // namespace muster::cli::doctor_test

// What the doctor says of a cluster's own words and of files.
#include "base/pki.h"
#include "cli/doctor/cluster_checks.h"
#include "cli/doctor/machine_checks.h"
#include "tests/base/temporary_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace muster::cli::doctor_test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::Field;
using testing::HasSubstr;

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
       "took a living leader for dead 2 times"},
  };
  for (const Case& c : CASES) {
    SCOPED_TRACE(c.name);
    EXPECT_THAT(checkCoordinators(healthy().patch(c.patch)), Contains(finding(c.verdict, c.text)));
  }
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

TEST(Doctor, seesDaemonsThatDoNotListen) {
  TemporaryFolder folder;
  EXPECT_THAT(checkPorts(folder.path()), testing::IsEmpty());
  std::ofstream(folder / "gateway.toml") << "";
  EXPECT_THAT(checkPorts(folder.path()), testing::SizeIs(1));
}

TEST(Doctor, seesAZookeeperServerThatDoesNotServe) {
  constexpr uint16_t NOBODY = 1;
  EXPECT_THAT(checkZookeeper({NOBODY}), Contains(finding(Verdict::FAILED, "does not serve")));
}

TEST(Doctor, saysHowMuchOfADiskIsFree) {
  EXPECT_THAT(checkDisk("/"), Contains(Field(&Check::text, HasSubstr("free"))));
  EXPECT_THAT(checkDisk("/nowhere"), testing::IsEmpty());
}

}  // namespace
}  // namespace muster::cli::doctor_test

#include "cli/local_cluster/local_plan.h"

#include "cli/local_cluster/cluster_file.h"
#include "cli/local_cluster/config_files.h"
#include "cli/local_cluster/first_port_claim.h"
#include "tests/base/temporary_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <set>
#include <unistd.h>

namespace muster::cli::local_plan_test {
namespace {

FreePorts ports;  // of the plans

using testing::HasSubstr;

const LocalLayout LAYOUT{"/srv/muster"};

LocalPlan plan() {
  auto plan = drawPlan({}, LAYOUT, ports);
  EXPECT_TRUE(plan.ok());
  return *plan;
}

TEST(LocalPlan, hasTheDocumentedDefaults) {
  auto made = plan();
  EXPECT_EQ(made.zookeepers.size(), 1u);
  EXPECT_EQ(made.coordinators.size(), 3u);
  EXPECT_EQ(made.workers, (std::vector<std::string>{"w1", "w2", "w3", "w4"}));
  EXPECT_EQ(made.devices, 2u);
  EXPECT_EQ(made.deviceMemory, 4_GiB);
  EXPECT_EQ(made.models, std::vector<std::string>{"/srv/muster/models"});
  EXPECT_EQ(made.restartRoles, (std::vector<std::string>{"zookeeper", "coordinator", "gateway"}));
}

TEST(LocalPlan, givesNoPortTwice) {
  UpOptions options;
  options.zookeepers = 3;
  options.coordinators = 5;
  auto made = drawPlan(options, LAYOUT, ports);
  std::set<uint16_t> ports;
  size_t count = 0;
  for (const auto& one : made->zookeepers) {
    for (auto port : {one.clientPort, one.quorumPort, one.electionPort})
      ports.insert(port), ++count;
  }
  for (const auto& one : made->coordinators) {
    for (auto port : {one.rpcPort, one.httpPort}) ports.insert(port), ++count;
  }
  EXPECT_EQ(ports.size(), count);
  EXPECT_EQ(ports.count(0), 0u);
}

// Claims lie in the folder for temporary files: here one of this test's own.
class ClaimedPort : public testing::Test {
 protected:
  void SetUp() override { ::setenv("TMPDIR", folder_.path().c_str(), 1); }
  void TearDown() override { ::unsetenv("TMPDIR"); }

  TemporaryFolder folder_;
};

TEST_F(ClaimedPort, staysWithTheProcessThatInheritsIt) {
  auto claim = std::make_unique<FirstPortClaim>();
  ASSERT_TRUE(claim->held());
  kj::AutoCloseFd inherited(::dup(claim->fd()));
  claim.reset();
  EXPECT_FALSE(FirstPortClaim().held()) << "its coordinator may just be starting again";
  inherited = nullptr;
  EXPECT_TRUE(FirstPortClaim().held());
}

TEST(LocalPlan, knowsWhetherItHasADocumentedPort) {
  auto made = drawPlan({}, LAYOUT, ports, FirstPort::LEAVE);
  EXPECT_FALSE(hasFirstPort(*made));
  made->coordinators[0].httpPort = 7400;
  EXPECT_TRUE(hasFirstPort(*made));
  made->coordinators[0].httpPort = 7403;
  made->gateways[0].httpPort = 7402;
  EXPECT_TRUE(hasFirstPort(*made));
  made->gateways.clear();
  EXPECT_FALSE(hasFirstPort(*made));
}

TEST(LocalPlan, onlyOneStartAtATimeMayTakeTheFirstPort) {
  FirstPortClaim first;
  FirstPortClaim second;
  EXPECT_FALSE(second.held());
  EXPECT_NE(drawPlan({}, LAYOUT, ports, FirstPort::LEAVE)->coordinators[0].httpPort, 7400);
}

TEST(LocalPlan, comesBackFromItsFile) {
  auto made = plan();
  auto read = parsePlan(toJson(made));
  ASSERT_TRUE(read.ok()) << read.refusal().text;
  EXPECT_EQ(*read, made);
  EXPECT_FALSE(parsePlan("{}").ok());
  EXPECT_FALSE(parsePlan("not json").ok());
}

TEST(LocalPlan, refusesWhatMakesNoCluster) {
  struct Case {
    const char* name;
    UpOptions options;
    const char* text;
  };
  for (const auto& c :
       std::vector<Case>{{"no worker", {.workers = 0}, "--workers 0"},
                         {"too many coordinators", {.coordinators = 10}, "--coordinators 10"},
                         {"even number of ZooKeeper servers", {.zookeepers = 2}, "odd number"},
                         {"unknown role", {.restartRoles = {"wizard"}}, "wizard"}}) {
    SCOPED_TRACE(c.name);
    auto made = drawPlan(c.options, LAYOUT, ports);
    ASSERT_FALSE(made.ok());
    EXPECT_THAT(made.refusal().text, HasSubstr(c.text));
  }
}

TEST(LocalPlan, anExistingClusterKeepsItsShape) {
  auto made = plan();
  EXPECT_TRUE(checkSamePlan({}, made).ok());
  EXPECT_TRUE(checkSamePlan({.workers = 4, .devices = 2}, made).ok());
  auto other = checkSamePlan({.workers = 5}, made);
  ASSERT_FALSE(other.ok());
  EXPECT_THAT(other.refusal().text, HasSubstr("--workers"));
  EXPECT_FALSE(checkSamePlan({.deviceType = "H100"}, made).ok());
  EXPECT_FALSE(checkSamePlan({.models = {"/elsewhere"}}, made).ok());
}

TEST(ConfigFiles, nameEveryPeerAndQuoteWhatIsStrange) {
  auto made = plan();
  made.models = {"/models/a \"b\"\\c"};
  std::string coordinator = coordinatorToml(made, LAYOUT, 1);
  for (const char* text : {"id = \"co2\"", "id = \"co1\"", "id = \"co3\"", "coordinator-co2.key",
                           "raise_after = \"0s\""}) {
    EXPECT_THAT(coordinator, HasSubstr(text));
  }
  std::string worker = workerToml(made, LAYOUT, 0);
  EXPECT_THAT(worker, HasSubstr(R"(model_roots = ["/models/a \"b\"\\c"])"));
  EXPECT_THAT(worker, HasSubstr("type = \"cpu\"\nmemory = \"4GiB\""));
  made.deviceType = "H100";
  EXPECT_THAT(workerToml(made, LAYOUT, 0), HasSubstr("type = \"H100\"\nmemory = \"4GiB\""));
}

TEST(ClusterFile, comesBackAsItWas) {
  ClusterFile file{.cluster = "local", .zookeeper = {"127.0.0.1:2181"}, .processes = {}};
  file.processes.push_back(
      {"coordinator", "co1", {4711, 99}, {{"rpc", "127.0.0.1:1"}}, "/logs/co1.log"});
  auto read = parseClusterFile(toJson(file));
  ASSERT_TRUE(read.ok()) << read.refusal().text;
  EXPECT_EQ(*read, file);
  EXPECT_FALSE(parseClusterFile("[]").ok());
}

}  // namespace
}  // namespace muster::cli::local_plan_test

// What the doctor says of ZooKeeper's answers. They were recorded from three servers of Debian's
// package libzookeeper-java 3.8.0-11+deb12u2; cases change a line of them.
#include "cli/doctor/zookeeper_checks.h"

#include "cli/doctor/zookeeper_ensemble.h"
#include "cli/doctor/zookeeper_files.h"
#include "tests/base/temporary_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace muster::cli::zookeeper_checks_test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string STATUS =
    R"(Zookeeper version: 3.8.0-${mvngit.commit.id}, built on 2024-12-29 17:54 UTC
Latency min/avg/max: 0/0.0/0
Received: 2
Sent: 1
Connections: 1
Outstanding: 0
Zxid: 0x100000000
Mode: follower
Node count: 5
)";
const std::string SETTINGS = R"(clientPort=2181
secureClientPort=-1
dataDir=/var/lib/zookeeper/version-2
dataDirSize=597
dataLogDir=/var/lib/zookeeper/version-2
dataLogSize=597
tickTime=500
maxClientCnxns=0
minSessionTimeout=1000
maxSessionTimeout=10000
clientPortListenBacklog=-1
serverId=1
initLimit=20
syncLimit=4
electionAlg=3
electionPort=3888
quorumPort=2888
peerType=0
membership: 
server.1=10.0.0.1:2888:3888:participant
server.2=10.0.0.2:2888:3888:participant
server.3=10.0.0.3:2888:3888:participant
version=0)";
// Lines that are of no interest are left out.
const std::string METRICS =
    "zk_version\t3.8.0-${mvngit.commit.id}, built on 2024-12-29 17:54 UTC\n"
    "zk_server_state\tfollower\n"
    "zk_peer_state\tfollowing - broadcast\n"
    "zk_avg_latency\t0.0\n"
    "zk_outstanding_requests\t0\n"
    "zk_max_file_descriptor_count\t20000\n"
    "zk_open_file_descriptor_count\t41\n"
    "zk_quorum_size\t3\n";

struct Change {
  std::string from;
  std::string to;
};

std::string changed(std::string text, const Change& change) {
  size_t at = text.find(change.from);
  if (at != std::string::npos) text.replace(at, change.from.size(), change.to);
  return text;
}

// A server as recorded, with a line changed wherever it stands.
ZookeeperServer server(const std::string& address, const std::vector<Change>& changes = {}) {
  ZookeeperAnswers answers{STATUS, SETTINGS, METRICS};
  for (const auto& change : changes) {
    for (auto* text : {&answers.status, &answers.settings, &answers.metrics}) {
      *text = changed(*text, change);
    }
  }
  return readZookeeper(address, answers);
}

const std::vector<Change> LEADING = {{"Mode: follower", "Mode: leader"},
                                     {"zk_server_state\tfollower", "zk_server_state\tleader"},
                                     {"following - broadcast", "leading - broadcast"},
                                     {"zk_quorum_size\t3", "zk_synced_followers\t2"}};

std::vector<ZookeeperServer> three(const std::vector<Change>& ofTheThird = {}) {
  return {server("10.0.0.1:2181", LEADING), server("10.0.0.2:2181"),
          server("10.0.0.3:2181", ofTheThird)};
}

auto verdict(Verdict wanted) { return Field(&Check::verdict, wanted); }
auto finding(Verdict wanted, const std::string& text) {
  return AllOf(verdict(wanted), Field(&Check::text, HasSubstr(text)));
}
auto hasFix() { return Field(&Check::fix, Not(IsEmpty())); }

constexpr ZookeeperWanted WANTED{.session = 1_s, .servers = 3};

TEST(ZookeeperChecks, readWhatAServerSaysOfItself) {
  auto read = server("10.0.0.1:2181");
  EXPECT_TRUE(read.answers);
  EXPECT_EQ(read.mode, "follower");
  EXPECT_EQ(read.version, "3.8.0");
  EXPECT_EQ(read.lastChange, 0x100000000u);
  EXPECT_EQ(read.setting("tickTime"), 500);
  EXPECT_EQ(read.metric("zk_open_file_descriptor_count"), 41);
  EXPECT_EQ(read.setting("dataDir"), std::nullopt);
  EXPECT_EQ(read.members(), 3u);
  EXPECT_THAT(read.untold, IsEmpty());
}

TEST(ZookeeperChecks, findNothingOnAServerThatIsWell) {
  EXPECT_THAT(checkZookeeperServer(server("10.0.0.1:2181"), WANTED),
              ElementsAre(finding(Verdict::OK, "follower, version 3.8.0")));
}

TEST(ZookeeperChecks, seeWhatIsWrongWithAServer) {
  struct Case {
    const char* name;
    Change change;
    Verdict verdict;
    const char* text;
  };
  const Case CASES[] = {
      {"an old version",
       {"version: 3.8.0", "version: 3.4.13"},
       Verdict::FAILED,
       "runs version 3.4.13; the oldest that Muster is tested with is 3.8.0"},
      {"read-only", {"Mode: follower", "Mode: read-only"}, Verdict::FAILED, "is read-only"},
      {"ticks of ZooKeeper's default",
       {"minSessionTimeout=1000", "minSessionTimeout=4000"},
       Verdict::WARNING,
       "raises sessions of 1000 ms to 4000 ms (minSessionTimeout)"},
      {"short sessions only",
       {"maxSessionTimeout=10000", "maxSessionTimeout=400"},
       Verdict::WARNING,
       "cuts sessions of 1000 ms down to 400 ms"},
      {"a frozen leader is waited for",
       {"syncLimit=4", "syncLimit=20"},
       Verdict::WARNING,
       "waits 10000 ms for a server that lags"},
      {"a pause throws a server out",
       {"syncLimit=4", "syncLimit=1"},
       Verdict::WARNING,
       "a short pause of a machine"},
      {"no time to join",
       {"initLimit=20", "initLimit=5"},
       Verdict::WARNING,
       "gives a server that joins 2500 ms"},
      {"few connections",
       {"maxClientCnxns=0", "maxClientCnxns=2"},
       Verdict::WARNING,
       "takes 2 connections of one address"},
      {"a slow disk",
       {"zk_avg_latency\t0.0", "zk_avg_latency\t81.25"},
       Verdict::WARNING,
       "is slow: 81 ms per request"},
      {"a queue",
       {"zk_outstanding_requests\t0", "zk_outstanding_requests\t512"},
       Verdict::WARNING,
       "512 waiting"},
      {"descriptors",
       {"file_descriptor_count\t20000", "file_descriptor_count\t50"},
       Verdict::WARNING,
       "has 41 of 50 file descriptors open"},
      {"it is catching up",
       {"following - broadcast", "following - synchronization"},
       Verdict::WARNING,
       "is not in step with the others yet: following - synchronization"},
  };
  for (const Case& c : CASES) {
    SCOPED_TRACE(c.name);
    auto checks = checkZookeeperServer(server("10.0.0.1:2181", {c.change}), WANTED);
    ASSERT_EQ(checks.size(), 2u);
    EXPECT_THAT(checks[1], AllOf(finding(c.verdict, c.text), hasFix()));
    EXPECT_EQ(checks[1].subject, "zookeeper 10.0.0.1:2181");
  }
}

TEST(ZookeeperChecks, judgeSessionsByWhatTheCoordinatorsAskFor) {
  auto one = server("10.0.0.1:2181");
  EXPECT_THAT(checkZookeeperServer(one, {.session = 400_ms}),
              Contains(finding(Verdict::WARNING, "raises sessions of 400 ms to 1000 ms")));
  EXPECT_THAT(checkZookeeperServer(one, {.session = 20_s}),
              Contains(finding(Verdict::WARNING, "cuts sessions of 20000 ms down to 10000 ms")));
}

TEST(ZookeeperChecks, seeServersThatDoNotServe) {
  EXPECT_THAT(checkZookeeperServer(readZookeeper("10.0.0.1:2181", {}), WANTED),
              ElementsAre(AllOf(finding(Verdict::FAILED, "does not serve"), hasFix())));
  const std::string ALONE = "This ZooKeeper instance is not currently serving requests\n";
  const std::string REFUSED = "conf is not executed because it is not in the whitelist.\n";
  for (const auto& settings : {ALONE, REFUSED}) {
    auto alone = readZookeeper("10.0.0.1:2181", {ALONE, settings, settings});
    EXPECT_THAT(checkZookeeperServer(alone, WANTED),
                ElementsAre(AllOf(finding(Verdict::FAILED, "has no quorum"), hasFix())));
    EXPECT_THAT(checkZookeeperEnsemble({alone, alone, alone}, WANTED),
                ElementsAre(finding(Verdict::FAILED, "no server serves")));
  }
}

TEST(ZookeeperChecks, nameWordsThatAreNotAllowed) {
  auto mute = readZookeeper("10.0.0.1:2181",
                            {STATUS, "conf is not executed because it is not in the whitelist.\n",
                             "mntr is not executed because it is not in the whitelist.\n"});
  EXPECT_THAT(
      checkZookeeperServer(mute, WANTED),
      ElementsAre(verdict(Verdict::OK),
                  AllOf(finding(Verdict::WARNING, "may not answer `conf`, `mntr`"),
                        Field(&Check::fix, HasSubstr("4lw.commands.whitelist=srvr,conf,mntr")))));
  auto dumb = readZookeeper("10.0.0.1:2181",
                            {"srvr is not executed because it is not in the whitelist.\n", "", ""});
  EXPECT_THAT(checkZookeeperServer(dumb, WANTED),
              ElementsAre(finding(Verdict::OK, "answers"), finding(Verdict::WARNING, "`srvr`")));
}

TEST(ZookeeperChecks, findNothingInAnEnsembleThatIsWell) {
  EXPECT_THAT(checkZookeeperEnsemble(three(), WANTED),
              ElementsAre(finding(Verdict::OK, "3 servers, alike and in step")));
  EXPECT_THAT(checkZookeeperEnsemble({}, WANTED), IsEmpty());
}

TEST(ZookeeperChecks, seeWhatIsWrongBetweenServers) {
  struct Case {
    const char* name;
    Change change;  // of the third server
    Verdict verdict;
    const char* text;
  };
  const Case CASES[] = {
      {"two versions",
       {"version: 3.8.0", "version: 3.9.2"},
       Verdict::WARNING,
       "several versions: 3.8.0 (10.0.0.1:2181), 3.9.2 (10.0.0.3:2181)"},
      {"another tick",
       {"tickTime=500", "tickTime=2000"},
       Verdict::WARNING,
       "tickTime differs: 2000 (10.0.0.3:2181), 500 (10.0.0.1:2181)"},
      {"two leaders", {"Mode: follower", "Mode: leader"}, Verdict::FAILED, "2 servers lead"},
      {"one for itself",
       {"Mode: follower", "Mode: standalone"},
       Verdict::FAILED,
       "1 of 3 servers run standalone"},
      {"far behind",
       {"Zxid: 0x100000000", "Zxid: 0x100010000"},
       Verdict::WARNING,
       "is 65536 changes behind the others"},
      {"an older epoch",
       {"Zxid: 0x100000000", "Zxid: 0x200000100"},
       Verdict::WARNING,
       "is in an older epoch"},
      {"an even number",
       {"version=0", "server.4=10.0.0.4:2888:3888:participant\nversion=0"},
       Verdict::WARNING,
       "has 4 servers and survives the loss of 1, no more than 3 would"},
      {"a server that nobody named",
       {"version=0", "server.4=10.0.0.4:2888:3888:participant\nversion=0"},
       Verdict::WARNING,
       "has 4 servers, coordinator.toml names 3"},
  };
  for (const Case& c : CASES) {
    SCOPED_TRACE(c.name);
    EXPECT_THAT(checkZookeeperEnsemble(three({c.change}), WANTED),
                Contains(AllOf(finding(c.verdict, c.text), hasFix())));
  }
}

TEST(ZookeeperChecks, seeFollowersThatAreNotInStep) {
  auto servers = three();
  servers[0].metrics["zk_synced_followers"] = "1";
  EXPECT_THAT(
      checkZookeeperEnsemble(servers, WANTED),
      ElementsAre(finding(Verdict::WARNING, "1 of 2 servers follow 10.0.0.1:2181 in step")));
}

// An observer has no vote, and a follower without a change yet still shows the epoch of before.
TEST(ZookeeperChecks, areNotTakenInByObserversAndQuietFollowers) {
  EXPECT_THAT(
      checkZookeeperEnsemble(
          three({{"version=0", "server.4=10.0.0.4:2888:3888:observer\nversion=0"}}), WANTED),
      ElementsAre(verdict(Verdict::OK)));
  EXPECT_THAT(checkZookeeperEnsemble(three({{"Zxid: 0x100000000", "Zxid: 0x0"}}), WANTED),
              ElementsAre(verdict(Verdict::OK)));
}

ZookeeperProcess process(const std::string& text, const std::vector<std::string>& flags = {}) {
  ZookeeperProcess one{{"java"}, "/etc/muster-zookeeper/zoo.cfg", text};
  one.arguments.insert(one.arguments.end(), flags.begin(), flags.end());
  return one;
}

TEST(ZookeeperChecks, judgeTheFileOfAServerOnThisMachine) {
  const std::string GOOD = "dataDir=/d\nautopurge.purgeInterval = 1\nautopurge.snapRetainCount=3\n";
  EXPECT_THAT(checkZookeeperFile(process(GOOD, {"-Djute.maxbuffer=4194304"})),
              ElementsAre(finding(Verdict::OK, "zoo.cfg are as wanted")));
  struct Case {
    const char* name;
    ZookeeperProcess process;
    Verdict verdict;
    const char* text;
  };
  const Case CASES[] = {
      {"never purged", process("dataDir=/d\n"), Verdict::WARNING, "until /d is full"},
      {"in a comment", process("#autopurge.purgeInterval=1\ndataDir=/d\n"), Verdict::WARNING,
       "keeps all its old snapshots"},
      {"not on the disk", process(GOOD + "forceSync=no\n"), Verdict::FAILED, "forceSync=no"},
      {"the same as a flag", process(GOOD, {"-Dzookeeper.forceSync=no"}), Verdict::FAILED,
       "a power cut loses changes"},
      {"open to everybody", process(GOOD + "skipACL=yes\n"), Verdict::FAILED, "skipACL=yes"},
      {"small requests", process(GOOD, {"-Djute.maxbuffer=65536"}), Verdict::FAILED,
       "takes requests of 65536 bytes"},
  };
  for (const Case& c : CASES) {
    SCOPED_TRACE(c.name);
    EXPECT_THAT(checkZookeeperFile(c.process),
                ElementsAre(AllOf(finding(c.verdict, c.text), hasFix())));
  }
}

TEST(ZookeeperChecks, knowWhereAServerOfThisMachineIsReached) {
  EXPECT_EQ(clientAddress(process("clientPort=2181\n")), "127.0.0.1:2181");
  EXPECT_EQ(clientAddress(process("clientPort=2181\nclientPortAddress=0.0.0.0\n")),
            "127.0.0.1:2181");
  EXPECT_EQ(clientAddress(process("clientPort=2181\nclientPortAddress=10.0.0.1\n")),
            "10.0.0.1:2181");
  EXPECT_EQ(clientAddress(process("secureClientPort=2281\n")), "");
}

TEST(ZookeeperChecks, findTheServersOfThisMachineAmongItsProcesses) {
  TemporaryFolder processes;
  auto add = [&](const std::string& id, const std::string& arguments) {
    std::filesystem::create_directory(processes / id);
    std::ofstream(processes / (id + "/cmdline")) << arguments;
  };
  using namespace std::string_literals;
  std::ofstream(processes / "zoo.cfg") << "tickTime=500\n";
  const std::string SERVER = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
  add("1", "init\0"s);
  add("12", "java\0-Xmx64m\0"s + SERVER + "\0"s + (processes / "zoo.cfg") + "\0"s);
  add("13", "java\0"s + SERVER + "\0/nowhere/zoo.cfg\0"s);
  add("self", "java\0"s + SERVER + "\0"s + (processes / "zoo.cfg") + "\0"s);
  auto found = zookeepersHere(processes.path());
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].file, processes / "zoo.cfg");
  EXPECT_EQ(found[0].text, "tickTime=500\n");
  EXPECT_THAT(found[0].arguments, Contains("-Xmx64m"));
}

}  // namespace
}  // namespace muster::cli::zookeeper_checks_test

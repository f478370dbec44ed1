// The doctor before real ZooKeeper servers.
#include "cli/doctor/machine_checks.h"
#include "cli/doctor/zookeeper_files.h"
#include "tests/support/zk_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

namespace muster::cli::zookeeper_servers_test {
namespace {

using support::ZkServers;
using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::Field;
using testing::HasSubstr;

auto finding(Verdict wanted, const std::string& text) {
  return AllOf(Field(&Check::verdict, wanted), Field(&Check::text, HasSubstr(text)));
}

Checks examine(const ZkServers& servers) {
  return checkZookeepers(servers.addresses(), {.session = 1_s, .servers = servers.count()});
}

// Asks again until that is found: servers notice a loss in their own time. Each look takes a while.
template <class Wanted>
void awaitFinding(const ZkServers& servers, const Wanted& wanted) {
  Checks checks;
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  do {
    checks = examine(servers);
  } while (!testing::Matches(Contains(wanted))(checks) && std::chrono::steady_clock::now() < end);
  EXPECT_THAT(checks, Contains(wanted));
}

bool isOneOf(const ZkServers& servers, const ZookeeperProcess& process) {
  auto addresses = servers.addresses();
  return std::any_of(addresses.begin(), addresses.end(), [&](const std::string& address) {
    std::string port = address.substr(address.find(':') + 1);
    return process.text.find("clientPort=" + port + "\n") != std::string::npos;
  });
}

TEST(ZookeeperServers, areWellAsMusterStartsThem) {
  ZkServers servers(3, 500_ms);
  awaitFinding(servers, finding(Verdict::OK, "3 servers, alike and in step"));
  auto checks = examine(servers);
  EXPECT_THAT(checks, Each(Field(&Check::verdict, Verdict::OK)));
  EXPECT_THAT(checks, Contains(finding(Verdict::OK, "leader, version 3.")));

  size_t here = 0;  // others may run beside ours
  for (const auto& process : zookeepersHere()) {
    if (!isOneOf(servers, process)) continue;
    here++;
    EXPECT_THAT(checkZookeeperFile(process), Each(Field(&Check::verdict, Verdict::OK)));
  }
  EXPECT_EQ(here, 3u);
}

TEST(ZookeeperServers, areMissedOneAfterTheOther) {
  ZkServers servers(3, 500_ms);
  size_t first = (servers.leader() + 1) % 3;
  servers.kill(first);
  awaitFinding(servers, finding(Verdict::WARNING, "1 of 2 servers follow"));
  EXPECT_THAT(examine(servers),
              Contains(AllOf(finding(Verdict::FAILED, "does not serve"),
                             Field(&Check::subject, "zookeeper " + servers.address(first)))));
  servers.kill((first + 1) % 3);
  awaitFinding(servers, finding(Verdict::FAILED, "no server serves"));
  EXPECT_THAT(examine(servers), Contains(finding(Verdict::FAILED, "runs, but has no quorum")));
}

TEST(ZookeeperServers, withLongTicksRaiseSessions) {
  ZkServers server(1, 2_s);
  EXPECT_THAT(examine(server),
              Contains(finding(Verdict::WARNING, "raises sessions of 1000 ms to 4000 ms")));
}

}  // namespace
}  // namespace muster::cli::zookeeper_servers_test

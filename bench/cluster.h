// A cluster of real processes to measure: ZooKeeper servers, coordinators, and who leads.
#pragma once

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/kj_time.h"
#include "base/random.h"
#include "base/rpc.h"
#include "protocol/codec.h"
#include "protocol/coordinator.capnp.h"
#include "protocol/stage.h"
#include "tests/support/coordinator_process.h"
#include "tests/support/zk_server.h"

#include <kj/debug.h>

#include <fstream>
#include <string>
#include <unistd.h>

namespace muster::bench {

inline double msOf(Duration duration) { return static_cast<double>(duration.nanos) / 1e6; }
inline double secondsOf(Duration duration) { return static_cast<double>(duration.nanos) / 1e9; }

// One client's connection to one coordinator.
struct ClusterConnection {
  kj::Own<RpcConnection> connection;
  schema::Gate::Client gate;
  schema::ClusterApi::Client api;

  explicit ClusterConnection(kj::Own<RpcConnection> made)
      : connection(kj::mv(made)),
        gate(connection->bootstrap<schema::Gate>()),
        api(gate.apiRequest().send().getApi()) {}
};

// What a process has used so far.
struct ProcessUse {
  double cpuSeconds = 0;
  double memoryMb = 0;  // resident
};

inline ProcessUse useOf(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string word;
  for (int i = 0; i < 13; ++i) stat >> word;
  double user = 0;
  double system = 0;
  stat >> user >> system;
  std::ifstream statm("/proc/" + std::to_string(pid) + "/statm");
  double pages = 0;
  statm >> pages >> pages;
  auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  return {(user + system) / ticks, pages * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1e6};
}

class Cluster {
 public:
  // Starts all and waits until one serves as leader.
  explicit Cluster(size_t coordinatorCount = 3)
      : zookeeper_(3, support::likeProduction()),
        processes(ClusterName{"bench"}, zookeeper_.addresses(), coordinatorCount) {
    auto made = processes.run({"--config", processes.configPath(0), "--bootstrap"});
    KJ_REQUIRE(made.code == 0, made.output.c_str());
    for (size_t i = 0; i < coordinatorCount; ++i) processes.start(i);
    transport = transportFor({Role::ADMIN, "bench"});
    awaitLeader();
  }

  // Which coordinator serves; waits for it.
  size_t awaitLeader() {
    SteadyTime deadline = clock.steadyNow() + 30_s;
    for (;;) {
      for (size_t i = 0; i < processes.count(); ++i) {
        if (processes.pid(i) != 0 && serves(i)) return leader = i;
      }
      KJ_REQUIRE(clock.steadyNow() < deadline, "no coordinator came to lead",
                 processes.log(0).c_str());
      loop.timer().afterDelay(5 * kj::MILLISECONDS).wait(loop.waitScope());
    }
  }

  kj::Own<Transport> transportFor(const PeerIdentity& identity) {
    return makeTlsTransport(loop.network(), loop.timer(), ClusterName{"bench"},
                            processes.certificate(identity));
  }
  kj::Own<ClusterConnection> connect(size_t member) {
    auto made = connectRpc(*transport, loop.timer(), processes.address(member), Role::COORDINATOR)
                    .wait(loop.waitScope());
    return kj::heap<ClusterConnection>(kj::mv(made));
  }
  ProcessUse leaderUse() const { return useOf(processes.pid(leader)); }
  Instant clusterTime(ClusterConnection& connection) {
    auto hello = connection.gate.helloRequest().send().wait(loop.waitScope());
    return {hello.getInfo().getClusterTimeNs()};
  }

  EventLoop loop;
  SystemClock clock;
  SystemRandom random;

 private:
  bool serves(size_t member) {
    bool is = false;
    auto failed = kj::runCatchingExceptions([&] {
      auto connection = connect(member);
      auto hello = connection->gate.helloRequest().send().wait(loop.waitScope());
      is = hello.getInfo().getStage() == static_cast<uint8_t>(Stage::SERVING);
    });
    return is && failed == nullptr;
  }

  support::ZkServers zookeeper_;

 public:
  support::CoordinatorProcesses processes;
  kj::Own<Transport> transport;
  size_t leader = 0;
};

}  // namespace muster::bench

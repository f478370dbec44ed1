// Real ZooKeeper servers for tests: child processes in a temporary folder, on ports the kernel
// chose, gone with this object and with the test process.
#pragma once

#include "base/units.h"
#include "base/zookeeper_command.h"

#include <cstdint>
#include <string>
#include <sys/types.h>
#include <vector>

namespace muster::support {

// Tests want servers that start soon, benchmarks ones like a real ensemble's.
struct ZkServerOptions {
  Duration tick = 200_ms;
  Bytes heapMax = 192_MiB;
  ZookeeperStartUp startUp = ZookeeperStartUp::QUICK;
};
inline ZkServerOptions likeProduction() { return {500_ms, 1_GiB, ZookeeperStartUp::NORMAL}; }

class ZkServers {
 public:
  // Starts `count` servers (1: standalone, 3: an ensemble) and waits until they serve. Throws when
  // they do not.
  explicit ZkServers(size_t count = 1, Duration tick = 200_ms);
  ZkServers(size_t count, ZkServerOptions options);
  ~ZkServers();
  ZkServers(const ZkServers&) = delete;
  ZkServers& operator=(const ZkServers&) = delete;

  size_t count() const { return servers_.size(); }
  std::string address(size_t server) const;                           // "127.0.0.1:12345"
  std::vector<std::string> addresses() const;                         // of all, in order
  pid_t pid(size_t server) const { return servers_.at(server).pid; }  // 0: not running

  void kill(size_t server);       // SIGKILL, and waits until it is gone
  void freeze(size_t server);     // SIGSTOP
  void thaw(size_t server);       // SIGCONT
  void start(size_t server);      // again, with its data; returns at once
  void eraseData(size_t server);  // of a killed server: as if an empty disk had been put in

  // Whether it answers "mntr" with a state, which it does once it has a quorum. Waits 100 ms at
  // most.
  bool serves(size_t server) const;
  // The answer to a four letter word; empty when there is none within 100 ms.
  std::string ask(size_t server, const std::string& word) const;
  size_t leader() const;  // of an ensemble; throws when none says so
  void awaitServing();    // of all that run; throws after 30 s

 private:
  struct Server {
    pid_t pid = 0;
    uint16_t clientPort = 0;
    uint16_t quorumPort = 0;
    uint16_t electionPort = 0;
  };
  void choosePorts();
  bool tryStartAll();
  bool exited(size_t server);
  std::string folder(size_t server) const;
  void writeConfig(size_t server) const;

  std::string directory_;
  ZkServerOptions options_;
  std::vector<Server> servers_;
};

}  // namespace muster::support

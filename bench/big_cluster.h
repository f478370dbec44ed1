// Three coordinator processes whose stores were filled beforehand: as many records as asked, the
// same in all, and one batch in the log that they are the state after.
//
// The records are outcomes of changes, of which a busy cluster has the most: each lives ten
// minutes.
#pragma once

#include "base/event_loop.h"
#include "base/transport.h"
#include "protocol/coordinator.capnp.h"
#include "tests/support/coordinator_process.h"
#include "tests/support/zk_server.h"

#include <functional>
#include <optional>
#include <string>

namespace muster::bench {

class BigCluster {
 public:
  static constexpr const char* NODE = "gpu01";  // registered; writes may cordon it

  // Starts nothing yet but ZooKeeper.
  BigCluster(size_t zookeeperServers, size_t records);
  void startAll();  // and waits until one leads and all follow

  struct Info {
    uint64_t applied = 0;
    bool leads = false;
  };
  std::optional<Info> ask(size_t member);  // nothing while it does not answer
  size_t leader();
  // Throws after a minute with the processes' logs.
  void until(const char* what, std::function<bool()> isSo);

  EventLoop loop;
  support::ZkServers zookeeper;
  support::CoordinatorProcesses processes;
  kj::Own<Transport> transport;

 private:
  void fill(size_t records);
};

}  // namespace muster::bench

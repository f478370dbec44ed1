// The simulated cluster: three coordinators, workers, the coordination service, all of it product
// code on simulated surroundings, and owned in the order in which it must end.
#pragma once

#include "base/log.h"
#include "coordinator/coordinator.h"
#include "tests/sim/sim_coordination.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/sim_worker_parts.h"
#include "tests/sim/world.h"
#include "tests/support/memory_store.h"
#include "worker/agent.h"

#include <string>
#include <vector>

namespace muster::sim {

struct ClusterOptions {
  uint64_t seed = 1;
  size_t coordinators = 3;
  size_t workers = 5;
  uint32_t devicesPerWorker = 3;
  bool guessDeath = true;
  bool verbose = false;  // log lines on stderr
};

class CoordinatorProcess;
class WorkerProcess;

// What a coordinator's machine keeps when its process dies.
struct CoordinatorMachine {
  Host& host;
  std::string name;
  coordinator::MemoryDisk disk;
  coordinator::MemoryDisk::Content synced;  // what a loss of power leaves
  CoordinatorProcess* process = nullptr;    // while it runs
  bool leaving = false;                     // an orderly stop is under way
  Duration slowDisk;                        // that each write takes
};

struct WorkerMachine {
  Host& host;
  worker::MemoryOrderDisk orders;
  RankSite site;
  WorkerProcess* process = nullptr;
  WorkerMachine(World& world, RankMeeting& meeting, Host& host, NodeInfo node)
      : host(host), site(world, meeting, host, std::move(node)) {}
};

class Cluster {
 public:
  explicit Cluster(ClusterOptions options);
  ~Cluster() noexcept(false);
  KJ_DISALLOW_COPY(Cluster);

  const ClusterOptions& options() const { return options_; }
  World& world() { return world_; }
  SimNetwork& network() { return network_; }
  SimZooKeeper& zookeeper() { return zookeeper_; }
  std::vector<kj::Own<CoordinatorMachine>>& coordinators() { return coordinators_; }
  std::vector<kj::Own<WorkerMachine>>& workers() { return workers_; }

  // The running coordinator; nothing while its process is down.
  kj::Maybe<coordinator::Coordinator&> coordinatorOn(CoordinatorMachine& machine);

  void startCoordinator(CoordinatorMachine& machine);
  void startWorker(WorkerMachine& machine);
  // Its process has stopped by itself: it ends now, and systemd starts it a second later.
  void restartSoon(CoordinatorMachine& machine);
  // The tree is made by a host of its own, which ends afterwards.
  void bootstrap();

  std::vector<coordinator::PeerAddress> peers() const;
  Logger loggerFor(const Host& host);
  const ModelManifest& model() const { return model_; }

  inline static const ClusterName NAME{"sim"};

 private:
  ClusterOptions options_;
  World world_;
  SimNetwork network_;
  SimZooKeeper zookeeper_;
  RankMeeting meeting_;
  ModelManifest model_;
  std::vector<kj::Own<CoordinatorMachine>> coordinators_;
  std::vector<kj::Own<WorkerMachine>> workers_;
};

}  // namespace muster::sim

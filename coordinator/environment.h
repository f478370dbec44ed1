// Everything outside a coordinator's process, handed in: main gives the real ones, the simulation
// its twins.
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/transport.h"
#include "coordinator/snapshot_options.h"
#include "coordinator/state_store.h"
#include "failover/coordination.h"

#include <kj/timer.h>

#include <string>
#include <vector>

namespace muster::coordinator {

struct PeerAddress {
  CoordinatorId id;
  std::string address;  // "10.0.0.2:7401"
};

struct CoordinatorSettings {
  ClusterName cluster;
  CoordinatorId id;
  std::string rpcListen;                // "0.0.0.0:7401"
  std::string rpcAdvertised;            // how others reach it; empty: where it listens
  std::string version;                  // of the binary, for hello
  std::vector<PeerAddress> peers = {};  // all configured coordinators, this one too
  bool guessDeath = true;               // else a leader is replaced only when its session ends
  SnapshotOptions snapshots = {};
  // How long all must have understood a schema level before the cluster takes it.
  Duration raiseSchemaAfter = 5_min;
};

// All borrowed; they outlive the coordinator.
struct CoordinatorEnvironment {
  kj::Timer& timer;
  const Clock& clock;
  Random& random;
  failover::CoordinationService& coordination;
  StateStore& store;
  Transport& transport;
  Logger& logger;
};

}  // namespace muster::coordinator

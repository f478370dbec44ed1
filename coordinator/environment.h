// Everything outside a coordinator's process, handed in: main gives the real ones, the simulation
// its twins.
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/transport.h"
#include "coordinator/state_store.h"
#include "failover/coordination.h"

#include <kj/timer.h>

#include <string>

namespace muster::coordinator {

struct CoordinatorSettings {
  ClusterName cluster;
  CoordinatorId id;
  std::string rpcListen;      // "0.0.0.0:7401"
  std::string rpcAdvertised;  // how others reach it; empty: where it listens
  std::string version;        // of the binary, for hello
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

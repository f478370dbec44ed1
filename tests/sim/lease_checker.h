// A lease that the leader believes to be over is over for its worker, whatever their clocks do.
#pragma once

#include "tests/sim/cluster.h"

#include <map>

namespace muster::sim {

class DeedChecker;

class LeaseChecker {
 public:
  explicit LeaseChecker(Cluster& cluster) : cluster_(cluster) {}

  // After an event of the coordinator that leads the newest epoch. Tells `deeds` who is attached.
  void look(coordinator::Coordinator& leader, DeedChecker& deeds);

 private:
  void compare(coordinator::Coordinator& leader, WorkerMachine& machine, Instant leaseEnd);

  Cluster& cluster_;
  SteadyTime lookedAt_;
};

}  // namespace muster::sim

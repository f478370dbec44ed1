// What must hold, checked from outside: after every event, at every answer, and once faults have
// stopped.
#pragma once

#include "tests/sim/cluster.h"
#include "tests/sim/deed_checker.h"
#include "tests/sim/lease_checker.h"
#include "tests/sim/log_checker.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace muster::sim {

class Checkers {
 public:
  explicit Checkers(Cluster& cluster);

  const LogChecker& log() const { return log_; }

  // An answer leaves a leader: the command is at `index` and committed.
  void answered(const RequestId& request, LogIndex index);
  // A request that was made `age` ago was refused for good: it has no effect, now or later.
  void refused(const RequestId& request, Duration age, const Refusal& refusal);
  // A client has heard of this index; what is asked from now on must show it.
  void heard(LogIndex index) { heard_ = std::max(heard_, index); }
  LogIndex heardOf() const { return heard_; }
  // A linearizable answer that shows the state at `index`, asked when `known` had been heard of.
  void read(const std::string& coordinator, LogIndex index, LogIndex known);
  // A stale answer to a client that said it had seen `known`.
  void readStale(const std::string& coordinator, LogIndex index, LogIndex known);

  // Why the cluster has not settled; empty when it has. For the end, when faults have stopped.
  std::string unsettled() const;

 private:
  void afterStep(Host* host);
  void checkCoordinator(CoordinatorMachine& machine);
  void checkLeader(CoordinatorMachine& machine, Epoch epoch);
  void checkState(CoordinatorMachine& machine, const coordinator::State& state, LogIndex committed);
  void checkDisk(CoordinatorMachine& machine);
  void checkDevices(WorkerMachine& machine);
  std::string unsettledCoordinators() const;
  std::string unsettledDeployments() const;
  std::string unsettledRanks() const;
  std::string unsettledDrains() const;
  std::string waitsWithoutNeed(const coordinator::DeploymentState& deployment,
                               ReplicaNumber number) const;

  struct Seen {  // of one coordinator, so that nothing is checked twice
    uint32_t boot = 0;
    LogIndex stateIndex;
    Guid stateHash;
    BatchNumber diskBatch;
  };
  Cluster& cluster_;
  LogChecker log_;
  LogIndex heard_;
  DeedChecker deeds_;
  LeaseChecker leases_;
  std::set<RequestId> refused_;
  std::map<Epoch, std::string> leaders_;
  std::map<std::string, Seen> seen_;
};

}  // namespace muster::sim

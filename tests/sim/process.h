// The processes of the simulated cluster: product code with its simulated surroundings.
#pragma once

#include "base/tasks.h"
#include "tests/sim/cluster.h"

#include <kj/debug.h>

#include <string>
#include <utility>

namespace muster::sim {

inline std::string rpcAddress(const Host& host) { return host.name() + ":7401"; }

// A coordinator with its surroundings. When it stops by itself, nothing that was injected explains
// it: no disk is full and the coordination service loses nothing.
class CoordinatorProcess final : public Process {
 public:
  CoordinatorProcess(Cluster& cluster, CoordinatorMachine& machine)
      : cluster_(cluster),
        machine_(machine),
        logger_(cluster.loggerFor(machine.host)),
        coordination_(cluster.zookeeper().service(machine.host)),
        transport_(cluster.network().transport(machine.host, {Role::COORDINATOR, machine.name})),
        store_(machine.disk),
        coordinator_(
            {machine.host.timer(), machine.host, machine.host.random(), *coordination_, store_,
             *transport_, logger_},
            {Cluster::NAME, CoordinatorId{machine.name}, rpcAddress(machine.host), "", "sim"}),
        tasks_([this](kj::Exception&& why) { stopped(why); }) {
    machine_.process = this;
    tasks_.add(coordinator_.start().ignoreResult());
    tasks_.add(coordinator_.run());
  }
  ~CoordinatorProcess() noexcept(false) { machine_.process = nullptr; }

  coordinator::Coordinator& coordinator() { return coordinator_; }
  void add(kj::Promise<void> work) { tasks_.add(kj::mv(work)); }

 private:
  void stopped(const kj::Exception& why) {
    cluster_.world().violated("no coordinator stops by itself",
                              machine_.name + ": " + why.getDescription().cStr());
  }

  Cluster& cluster_;
  CoordinatorMachine& machine_;
  Logger logger_;
  kj::Own<failover::CoordinationService> coordination_;
  kj::Own<Transport> transport_;
  coordinator::MemoryStore store_;
  coordinator::Coordinator coordinator_;
  Tasks tasks_;
};

class WorkerProcess final : public Process {
 public:
  WorkerProcess(Cluster& cluster, WorkerMachine& machine)
      : machine_(machine),
        transport_(cluster.network().transport(machine.host,
                                               {Role::WORKER, machine.site.node().name.value})),
        ranks_(machine.site),
        inspection_(cluster.model()),
        orders_(cluster.world(), machine.host.name(), machine.orders) {
    machine_.process = this;
    worker::AgentOptions options{Cluster::NAME, machine.site.node(), {}, {}};
    for (auto& coordinator : cluster.coordinators()) {
      options.coordinators.push_back(rpcAddress(coordinator->host));
    }
    auto started = worker::Agent::start(
        {machine.host.timer(), machine.host, machine.host.random(), *transport_, ranks_,
         inspection_, orders_, cluster.loggerFor(machine.host)},
        options);
    agent_ = kj::mv(started.value());
  }
  ~WorkerProcess() noexcept(false) { machine_.process = nullptr; }

 private:
  WorkerMachine& machine_;
  kj::Own<Transport> transport_;
  SimRanks ranks_;
  SimInspection inspection_;
  SimOrderStore orders_;
  kj::Own<worker::Agent> agent_;
};

}  // namespace muster::sim

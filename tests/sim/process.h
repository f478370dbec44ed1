// The processes of the simulated cluster: product code with its simulated surroundings.
#pragma once

#include "base/tasks.h"
#include "coordinator/api.h"
#include "tests/sim/cluster.h"

#include <kj/debug.h>

#include <string>
#include <utility>

namespace muster::sim {

inline std::string rpcAddress(const Host& host) { return host.name() + ":7401"; }

// The store of a coordinator, on a disk that may take its time: who writes waits for it, and with
// it the whole process.
class SimStore final : public coordinator::MemoryStore {
 public:
  SimStore(World& world, CoordinatorMachine& machine)
      : MemoryStore(machine.disk), world_(world), machine_(machine) {}

  void write(const coordinator::StoreBatch& batch) override {
    MemoryStore::write(batch);
    if (machine_.slowDisk.nanos == 0 || machine_.host.isFrozen()) return;
    Host& host = machine_.host;
    world_.after(Duration{}, [&host] { host.freeze(); });
    world_.after(machine_.slowDisk, [&host] { host.thaw(); });
  }

 private:
  World& world_;
  CoordinatorMachine& machine_;
};

// A coordinator with its surroundings. It may stop by itself when its disk is full, and is started
// again then; nothing else that is injected explains it.
class CoordinatorProcess final : public Process {
 public:
  CoordinatorProcess(Cluster& cluster, CoordinatorMachine& machine)
      : cluster_(cluster),
        machine_(machine),
        logger_(cluster.loggerFor(machine.host)),
        coordination_(cluster.zookeeper().service(machine.host)),
        transport_(cluster.network().transport(machine.host, {Role::COORDINATOR, machine.name})),
        store_(cluster.world(), machine),
        coordinator_({machine.host.timer(), machine.host, machine.host.random(), *coordination_,
                      store_, *transport_, logger_},
                     {Cluster::NAME, CoordinatorId{machine.name}, rpcAddress(machine.host), "",
                      "sim", cluster.peers(), cluster.options().guessDeath}),
        api_{coordinator_, plans_, calls_, cluster.peers()},
        tasks_([this](kj::Exception&& why) { stopped(why); }) {
    machine_.process = this;
    machine_.disk.ranFull = false;
    tasks_.add(coordinator_.start().ignoreResult());
    tasks_.add(coordinator_.run());
  }
  ~CoordinatorProcess() noexcept(false) { machine_.process = nullptr; }

  coordinator::Coordinator& coordinator() { return coordinator_; }
  coordinator::ApiContext& api() { return api_; }
  void add(kj::Promise<void> work) { tasks_.add(kj::mv(work)); }

 private:
  void stopped(const kj::Exception& why) {
    if (machine_.disk.ranFull) return cluster_.restartSoon(machine_);
    cluster_.world().violated("no coordinator stops by itself",
                              machine_.name + ": " + why.getDescription().cStr());
  }

  Cluster& cluster_;
  CoordinatorMachine& machine_;
  Logger logger_;
  kj::Own<failover::CoordinationService> coordination_;
  kj::Own<Transport> transport_;
  SimStore store_;
  coordinator::Coordinator coordinator_;
  coordinator::PlanBook plans_;
  coordinator::CallStats calls_;
  coordinator::ApiContext api_;
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

  worker::Agent& agent() { return *agent_; }

 private:
  WorkerMachine& machine_;
  kj::Own<Transport> transport_;
  SimRanks ranks_;
  SimInspection inspection_;
  SimOrderStore orders_;
  kj::Own<worker::Agent> agent_;
};

}  // namespace muster::sim

#include "tests/sim/cluster.h"

#include "base/tasks.h"
#include "failover/bootstrap.h"
#include "failover/session_wait.h"
#include "tests/sim/process.h"
#include "tests/support/builders.h"

#include <kj/debug.h>

#include <cstdio>
#include <utility>

namespace muster::sim {
namespace {

// Makes the tree, and says so.
class BootstrapProcess final : public Process {
 public:
  BootstrapProcess(Cluster& cluster, Host& host, bool& done)
      : host_(host),
        session_(cluster.zookeeper().service(host)->open()),
        done_(done),
        tasks_("bootstrap") {
    tasks_.add(run());
  }

 private:
  Co<void> run() {
    co_await failover::whenConnected(*session_);
    auto made = co_await failover::bootstrap(*session_, failover::Paths(Cluster::NAME),
                                             Cluster::NAME, host_.random());
    KJ_REQUIRE(made.ok(), made.refusal().text.c_str());
    done_ = true;
  }

  Host& host_;
  kj::Own<failover::CoordinationSession> session_;
  bool& done_;
  Tasks tasks_;
};

}  // namespace

Cluster::Cluster(ClusterOptions options)
    : options_(options),
      world_(options.seed),
      network_(world_),
      zookeeper_(world_, network_),
      meeting_(world_) {
  for (size_t i = 1; i <= options_.coordinators; i++) {
    std::string name = "co" + std::to_string(i);
    Host& host = world_.addHost(name);
    coordinators_.push_back(kj::heap<CoordinatorMachine>(CoordinatorMachine{host, name}));
  }
  for (size_t i = 1; i <= options_.workers; i++) {
    std::string name = "w" + std::to_string(i);
    Host& host = world_.addHost(name);
    NodeInfo node = testing::node(name).cpus(options_.devicesPerWorker, 16_GiB).get();
    node.address = name;
    workers_.push_back(kj::heap<WorkerMachine>(world_, meeting_, host, std::move(node)));
  }
}

// Processes first: they use everything else.
Cluster::~Cluster() noexcept(false) { world_.shutDown(); }

kj::Maybe<coordinator::Coordinator&> Cluster::coordinatorOn(CoordinatorMachine& machine) {
  if (machine.process == nullptr) return nullptr;
  return machine.process->coordinator();
}

void Cluster::startCoordinator(CoordinatorMachine& machine) {
  world_.note("start " + machine.name);
  machine.leaving = false;
  machine.host.start([this, &machine]() -> kj::Own<Process> {
    return kj::heap<CoordinatorProcess>(*this, machine);
  });
}

void Cluster::startWorker(WorkerMachine& machine) {
  world_.note("start " + machine.host.name());
  machine.host.start(
      [this, &machine]() -> kj::Own<Process> { return kj::heap<WorkerProcess>(*this, machine); });
}

void Cluster::restartSoon(CoordinatorMachine& machine) {
  world_.note(machine.name + " stopped by itself");
  uint32_t boot = machine.host.boot();
  world_.after(1_ms, [&machine, boot] {
    if (machine.host.boot() == boot) machine.host.crash();
  });
  world_.after(1_s, [this, &machine, boot] {
    bool isDown = machine.host.boot() == boot + 1 && !machine.host.isUp();
    if (isDown) startCoordinator(machine);
  });
}

void Cluster::bootstrap() {
  Host& host = world_.addHost("bootstrap");
  bool done = false;
  host.start([&]() -> kj::Own<Process> { return kj::heap<BootstrapProcess>(*this, host, done); });
  while (!done) KJ_REQUIRE(world_.step(world_.now() + 60_s), "the tree could not be made");
  host.crash();
}

std::vector<coordinator::PeerAddress> Cluster::peers() const {
  std::vector<coordinator::PeerAddress> peers;
  for (const auto& machine : coordinators_) {
    peers.push_back({CoordinatorId{machine->name}, rpcAddress(machine->host)});
  }
  return peers;
}

Logger Cluster::loggerFor(const Host& host) {
  LogOptions log;
  log.level = options_.verbose ? LogLevel::DEBUG : LogLevel::ERROR;
  log.output = [this, name = host.name()](std::string_view line) {
    if (!options_.verbose) return;  // faults make errors ordinary
    std::string text(line.substr(0, line.find_last_not_of('\n') + 1));
    std::fprintf(stderr, "%s %-4s %s\n", toText(world_.now()).c_str(), name.c_str(), text.c_str());
  };
  return Logger(log);
}

}  // namespace muster::sim

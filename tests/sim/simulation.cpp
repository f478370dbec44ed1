#include "tests/sim/simulation.h"

#include "tests/sim/checkers.h"
#include "tests/sim/clients.h"
#include "tests/sim/cluster.h"

#include <kj/exception.h>

#include <algorithm>
#include <cstdio>
#include <map>

namespace muster::sim {
namespace {

constexpr size_t CLIENTS = 3;
constexpr Duration SETTLE_MAX = 150_s;  // once faults have stopped
constexpr Duration LOOK_EVERY = 500_ms;
constexpr Duration CHAOS = 40_s;
constexpr Duration CHAOS_OF_MANY = 15_s;  // with hundreds of workers a second costs more
constexpr Duration WORK_BEFORE_OUTAGE = 20_s;
constexpr Duration OUTAGE = 10_min;
constexpr const char* OUTLIVED = "an outage of the store restarts nothing";

// Exceptions are ordinary here: without their stack traces a run takes a tenth less time. What the
// product logs through kj is shown to who replays a seed.
class QuietExceptions final : public kj::ExceptionCallback {
 public:
  explicit QuietExceptions(bool verbose) : verbose_(verbose) {}
  StackTraceMode stackTraceMode() override {
    return verbose_ ? StackTraceMode::FULL : StackTraceMode::NONE;
  }
  void logMessage(kj::LogSeverity severity, const char* file, int line, int contextDepth,
                  kj::String&& text) override {
    if (verbose_)
      kj::ExceptionCallback::logMessage(severity, file, line, contextDepth, kj::mv(text));
  }

 private:
  bool verbose_;
};

class Simulation {
 public:
  explicit Simulation(const RunOptions& options)
      : options_(options),
        cluster_({.seed = options.seed,
                  .workers = options.workers > 0 ? options.workers : workersOfSeed(options.seed),
                  .guessDeath = options.seed % 4 != 3,
                  .verbose = options.verbose}),
        checkers_(cluster_),
        injector_(cluster_, options.without) {
    for (size_t i = 0; i < CLIENTS; i++) {
      clients_.push_back(kj::heap<Client>(cluster_, checkers_, "c" + std::to_string(i + 1)));
    }
    if (options.verbose) {
      world().onNote([](std::string_view line) {
        std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
      });
    }
  }
  // The hosts' processes refer to clients and checkers.
  ~Simulation() noexcept(false) { world().shutDown(); }

  RunResult run() {
    cluster_.bootstrap();
    for (auto& machine : cluster_.coordinators()) cluster_.startCoordinator(*machine);
    for (auto& machine : cluster_.workers()) cluster_.startWorker(*machine);
    for (auto& client : clients_) client->start();
    if (options_.scenario == Scenario::OUTAGE) {
      outage();
    } else {
      injector_.start();
      pass(chaos());
    }
    if (!world().violation()) settle();
    return result();
  }

 private:
  World& world() { return cluster_.world(); }

  void pass(Duration time) {
    SteadyTime until = world().now() + time;
    while (world().step(until)) {
    }
  }

  Duration chaos() const {
    if (options_.chaos.nanos > 0) return options_.chaos;
    size_t workers = cluster_.options().workers;
    return workers > 50 ? CHAOS_OF_MANY : CHAOS;
  }

  // Every process that runs, and since when.
  std::map<RankRef, uint32_t> running() {
    std::map<RankRef, uint32_t> pids;
    for (auto& worker : cluster_.workers()) {
      for (const auto& [ref, rank] : worker->site.ranks()) pids[ref] = rank.report.pid;
    }
    return pids;
  }

  // The cluster at rest loses the service for ten minutes: nothing is restarted, then and after.
  void outage() {
    pass(WORK_BEFORE_OUTAGE);
    for (auto& client : clients_) client->stop();
    awaitSettled();
    if (world().violation()) return;
    auto before = running();
    auto takeServers = [this](bool down) {
      for (size_t i = 0; i < SimZooKeeper::SERVERS; i++) cluster_.zookeeper().setDown(i, down);
    };
    world().note("outage");
    takeServers(true);
    pass(OUTAGE);
    takeServers(false);
    world().note("the service is back");
    pass(WORK_BEFORE_OUTAGE);
    for (auto& machine : cluster_.coordinators()) {
      if (machine->host.boot() > 0) world().violated(OUTLIVED, machine->name + " was restarted");
    }
    if (running() != before) world().violated(OUTLIVED, "other processes run than before");
  }

  void settle() {
    world().note("quiet");
    injector_.stop();
    for (auto& client : clients_) client->stop();
    clients_.front()->finishWith(lastWords());
    awaitSettled();
  }

  // Most nodes take work again; drains that are under way elsewhere must end by themselves.
  std::vector<CommandBody> lastWords() {
    SeededRandom random = world().fork("last words");
    std::vector<CommandBody> bodies;
    for (auto& worker : cluster_.workers()) {
      if (random.below(4) > 0) bodies.push_back(NodeUncordoned{worker->site.node().name});
    }
    NodeName drained = cluster_.workers().front()->site.node().name;
    if (random.below(2) == 0) bodies.push_back(NodeDrainStarted{drained, "simulated", false});
    return bodies;
  }

  void awaitSettled() {
    SteadyTime deadline = world().now() + SETTLE_MAX;
    std::string why = "nobody has looked";
    while (!world().violation() && !why.empty() && world().now() < deadline) {
      pass(LOOK_EVERY);
      why = unsettled();
    }
    if (!why.empty()) world().violated("all settles once faults stop", why);
  }

  std::string unsettled() {
    for (auto& client : clients_) {
      if (!client->isIdle()) return "a client still waits for an answer";
    }
    return checkers_.unsettled();
  }

  RunResult result() {
    RunResult result;
    result.violation = world().violation();
    result.traceHash = world().traceHash();
    result.events = world().events();
    result.simulated = world().now() - SteadyTime{};
    result.hits = injector_.hits();
    result.commands = checkers_.log().lastIndex().value;
    result.epochs = checkers_.log().state().epoch.value;
    for (auto& client : clients_) {
      result.accepted += client->counts().accepted;
      result.reads += client->counts().reads;
    }
    return result;
  }

  RunOptions options_;
  Cluster cluster_;
  Checkers checkers_;
  Injector injector_;
  std::vector<kj::Own<Client>> clients_;
};

}  // namespace

size_t workersOfSeed(uint64_t seed) {
  if (seed % 40 == 0) return 200;
  return seed % 8 == 4 ? 20 : 8;
}

RunResult runSimulation(const RunOptions& options) {
  QuietExceptions quiet(options.verbose);
  Simulation simulation(options);
  return simulation.run();
}

}  // namespace muster::sim

#include "tests/sim/simulation.h"

#include "tests/sim/checkers.h"
#include "tests/sim/clients.h"
#include "tests/sim/cluster.h"

#include <kj/exception.h>

#include <cstdio>

namespace muster::sim {
namespace {

constexpr size_t CLIENTS = 3;
constexpr Duration SETTLE_MAX = 150_s;  // once faults have stopped
constexpr Duration LOOK_EVERY = 500_ms;

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
                  .logLevel = options.verbose ? LogLevel::DEBUG : LogLevel::ERROR}),
        checkers_(cluster_),
        injector_(cluster_) {
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
    injector_.start();
    pass(options_.chaos);
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

  void settle() {
    world().note("quiet");
    injector_.stop();
    for (auto& client : clients_) client->stop();
    std::vector<CommandBody> uncordons;
    for (auto& worker : cluster_.workers()) {
      uncordons.push_back(NodeUncordoned{worker->site.node().name});
    }
    clients_.front()->finishWith(std::move(uncordons));
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

RunResult runSimulation(const RunOptions& options) {
  QuietExceptions quiet(options.verbose);
  Simulation simulation(options);
  return simulation.run();
}

}  // namespace muster::sim

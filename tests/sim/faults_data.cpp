// The coordination service has other data than it had: the newest of what it acknowledged is gone,
// or somebody has started it from an old copy.
//
// Coordinators hold what the service forgets, unless they are gone as well: so all else that is
// wrong ends first, and nothing more goes wrong until the log is whole again. Once in a seed, for
// this takes a good part of it.
#include "failover/paths.h"
#include "tests/sim/faults.h"
#include "tests/sim/process.h"

#include <algorithm>
#include <utility>

namespace muster::sim {
namespace {

using coordinator::AlarmKind;

constexpr Duration REPLACEMENT_REST = 5_s;  // until everybody is back and has caught up
constexpr Duration REPLACEMENT_PATIENCE = 20_s;
// Until each coordinator has given its session up, has looked again, and has said what it found.
constexpr Duration OLD_COPY_MIN = 12_s;
constexpr Duration OLD_COPY_MAX = 16_s;

}  // namespace

void Injector::replaceDataOnce(kj::Function<void()> begin) {
  if (std::exchange(dataReplaced_, true)) return;
  waits_ = true;
  endAll();
  cluster_.world().after(REPLACEMENT_REST + draw(0_ms, 1_s), kj::mv(begin));
}

void Injector::restAndGoOn() {
  cluster_.world().after(REPLACEMENT_REST, [this] { waits_ = false; });
}

BatchNumber Injector::newestIn(const SimTree& tree) const {
  auto names = tree.childrenOf(failover::Paths(Cluster::NAME).log());
  return names.empty() ? BatchNumber{} : BatchNumber{std::stoull(names.back())};
}

bool Injector::allRun() {
  return std::ranges::all_of(cluster_.coordinators(), [](auto& machine) {
    return machine->host.isUp() && !machine->host.isFrozen();
  });
}

void Injector::startServersLater() {
  end(draw(100_ms, 3_s), [this] {
    for (size_t i = 0; i < SimZooKeeper::SERVERS; i++) cluster_.zookeeper().setDown(i, false);
  });
}

// ---- what it had acknowledged is gone

void Injector::loseTransactions() {
  replaceDataOnce([this] {
    copy_ = cluster_.zookeeper().data();
    Duration since = draw(20_ms, 3_s);
    cluster_.world().after(since,
                           [this] { loseWhenHeld(cluster_.world().now() + REPLACEMENT_PATIENCE); });
  });
}

// A batch that no coordinator has stored may be forgotten; here one has the newest.
void Injector::loseWhenHeld(SteadyTime until) {
  if (stopped_) return;
  const SimTree& truth = cluster_.zookeeper().truth();
  BatchNumber newest = newestIn(truth);
  bool held = std::ranges::any_of(cluster_.coordinators(), [&](auto& machine) {
    const auto& meta = machine->disk.content.meta;
    return meta && meta->applied.batch == newest;
  });
  if (cluster_.world().now() > until) {
    waits_ = false;
  } else if (allRun() && held && newest > newestIn(copy_.tree)) {
    powerOff();
  } else {
    cluster_.world().after(1_ms, [this, until] { loseWhenHeld(until); });
  }
}

void Injector::powerOff() {
  lostUpTo_ = newestIn(cluster_.zookeeper().truth());
  uint64_t count = lostUpTo_.value - newestIn(copy_.tree).value;
  hit(Fault::TRANSACTIONS_LOST, std::to_string(count) + " batches");
  cluster_.zookeeper().replaceData(copy_);
  startServersLater();
  awaitRepair(cluster_.world().now() + REPLACEMENT_PATIENCE);
}

void Injector::awaitRepair(SteadyTime until) {
  bool whole = newestIn(cluster_.zookeeper().truth()) >= lostUpTo_;
  if (whole || cluster_.world().now() > until) {
    restAndGoOn();
  } else {
    cluster_.world().after(100_ms, [this, until] { awaitRepair(until); });
  }
}

// ---- an old copy

void Injector::startFromOldCopy() {
  replaceDataOnce([this] {
    bool isEmpty = below(3) == 0;
    copy_ = isEmpty ? SimZooKeeper::Data() : cluster_.zookeeper().data();
    // The service's own leader had changed since: it refuses sessions that have seen that.
    if (below(2) == 0) copy_.zxid -= SimZooKeeper::ELECTION;
    startWhenOld(cluster_.world().now() + REPLACEMENT_PATIENCE);
  });
}

// Old is what lacks batches that nobody keeps any more. Writing that many takes too long here, so
// everybody forgets the first of them.
void Injector::startWhenOld(SteadyTime until) {
  if (stopped_) return;
  BatchNumber firstMissing = newestIn(copy_.tree).next();
  bool isOld = std::ranges::all_of(cluster_.coordinators(), [&](auto& machine) {
    const auto& meta = machine->disk.content.meta;
    return meta && meta->applied.batch > firstMissing;
  });
  if (cluster_.world().now() > until) {
    waits_ = false;
    return;
  }
  if (!isOld || !allRun()) {
    cluster_.world().after(1_ms, [this, until] { startWhenOld(until); });
    return;
  }
  for (auto& machine : cluster_.coordinators()) machine->disk.kept.erase(firstMissing);
  SimZooKeeper::Data newest = cluster_.zookeeper().data();
  hit(Fault::OLD_COPY, "which ends with batch " + std::to_string(firstMissing.value - 1));
  cluster_.zookeeper().replaceData(copy_);
  startServersLater();
  end(draw(OLD_COPY_MIN, OLD_COPY_MAX), [this, newest] { putNewestBack(newest); });
}

void Injector::putNewestBack(const SimZooKeeper::Data& newest) {
  checkNothingWritten();
  cluster_.zookeeper().replaceData(newest);
  startServersLater();
  restAndGoOn();
}

void Injector::checkNothingWritten() {
  constexpr const char* STOPS = "an old copy of the service stops all writing with a word";
  World& world = cluster_.world();
  BatchNumber end = newestIn(cluster_.zookeeper().truth());
  if (end != newestIn(copy_.tree)) {
    world.violated(STOPS, "the log of the copy goes on to batch " + std::to_string(end.value));
  }
  if (stopped_) return;  // all faults ended early: not everybody had the time to look
  bool isEmpty = copy_.tree.find(failover::Paths(Cluster::NAME).epoch()) == nullptr;
  AlarmKind word = isEmpty ? AlarmKind::ZOOKEEPER_EMPTY : AlarmKind::ZOOKEEPER_OLD;
  for (auto& machine : cluster_.coordinators()) {
    KJ_IF_MAYBE (running, cluster_.coordinatorOn(*machine)) {
      if (running->leading()) world.violated(STOPS, machine->name + " leads");
      if (running->facts().alarms.active().contains(word)) continue;
      world.violated(STOPS, machine->name + " has not said " + std::string(toText(word)));
    }
  }
}

}  // namespace muster::sim

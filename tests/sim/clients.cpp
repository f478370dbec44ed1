#include "tests/sim/clients.h"

#include "coordinator/api_reads.h"
#include "coordinator/core/core.h"
#include "tests/sim/process.h"
#include "tests/support/builders.h"

#include <algorithm>

namespace muster::sim {
namespace {

constexpr Duration PATIENCE = 3_s;  // with one attempt

bool mayTryAgain(RefusalCode code) {
  return code == RefusalCode::NO_LEADER || code == RefusalCode::NOT_LEADER ||
         code == RefusalCode::OVERLOADED;
}

}  // namespace

Client::Client(Cluster& cluster, Checkers& checkers, std::string name)
    : cluster_(cluster),
      checkers_(checkers),
      name_(std::move(name)),
      random_(cluster.world().fork("client " + name_)) {}

Duration Client::draw(Duration min, Duration max) {
  return min + Duration{static_cast<int64_t>(
                   random_.below(static_cast<uint64_t>((max - min).nanos) + 1))};
}

void Client::start() {
  busy_ = true;
  cluster_.world().after(draw(100_ms, 2_s), [this] { next(); });
}

void Client::finishWith(std::vector<CommandBody> bodies) {
  last_ = std::move(bodies);
  std::ranges::reverse(last_);
  if (!busy_) {
    busy_ = true;
    next();
  }
}

void Client::next() {
  if (!last_.empty()) {
    CommandBody body = std::move(last_.back());
    last_.pop_back();
    return begin(std::move(body));
  }
  if (stopping_) {
    busy_ = false;
    return;
  }
  if (oneIn(4)) return readOnce();
  if (oneIn(6)) {
    for (auto& machine : cluster_.coordinators()) {
      if (machine->host.isUp() && oneIn(2)) readStale(*machine, lastIndex_);
    }
  }
  begin(drawBody());
}

// ---- what is asked for

DeploymentSpec Client::drawSpec() {
  auto spec = testing::spec("d" + std::to_string(random_.below(5)));
  spec.devices(static_cast<uint32_t>(1 + random_.below(2)));
  spec.replicas(static_cast<uint32_t>(1 + random_.below(3)));
  spec.argument("variant", std::to_string(random_.below(3)));
  DeploymentSpec drawn = spec.get();
  drawn.timeouts.ready = 20_s;
  return drawn;
}

CommandBody Client::drawBody() {
  uint64_t kind = random_.below(100);
  DeploymentName name{"d" + std::to_string(random_.below(5))};
  NodeName node{"w" + std::to_string(1 + random_.below(cluster_.options().workers))};
  TenantName tenant{"default"};
  if (kind < 40) return DeploymentApplied{drawSpec(), {}, {}};
  if (kind < 60) return DeploymentScaled{tenant, name, static_cast<uint32_t>(random_.below(4)), {}};
  if (kind < 75) return DeploymentDeleted{tenant, name, {}};
  if (kind < 82) return NodeCordoned{node, "simulated"};
  if (kind < 95) return NodeUncordoned{node};
  return NodeDrainStarted{node, "simulated", oneIn(2)};
}

CoordinatorMachine& Client::drawCoordinator() {
  if (oneIn(3)) favourite_ = random_.below(cluster_.coordinators().size());
  return *cluster_.coordinators()[favourite_];
}

// ---- asking

void Client::begin(CommandBody body) {
  CoordinatorMachine& machine = drawCoordinator();
  std::optional<Instant> now;
  KJ_IF_MAYBE (running, cluster_.coordinatorOn(machine)) now = running->clusterNow();
  if (!now) {  // nobody there to ask for the time
    last_.push_back(std::move(body));
    cluster_.world().after(draw(50_ms, 200_ms), [this] { next(); });
    return;
  }
  body_ = std::move(body);
  request_ = RequestId{random_.guid(), *now};
  begunAt_ = cluster_.world().now();
  tryOnce();
}

void Client::tryOnce() {
  uint64_t attempt = ++attempt_;
  World& world = cluster_.world();
  CoordinatorMachine& machine = drawCoordinator();
  world.after(PATIENCE, [this, attempt] { again(attempt); });
  if (!machine.host.isUp()) {
    world.after(draw(5_ms, 50_ms), [this, attempt] { again(attempt); });
    return;
  }
  world.at(world.now() + cluster_.network().delay(), machine.host,
           [this, &machine, attempt] { ask(machine, attempt); });
}

// Inside the coordinator's host. An answer is judged when it leaves, and heard of a little later.
void Client::ask(CoordinatorMachine& machine, uint64_t attempt) {
  if (attempt != attempt_ || machine.process == nullptr) return;
  auto retry = [this, attempt] {
    cluster_.world().after(draw(5_ms, 100_ms), [this, attempt] { again(attempt); });
  };
  KJ_IF_MAYBE (driver, machine.process->coordinator().driver()) {
    RequestId id = request_;
    auto done =
        kj::evalNow([&] {
          return driver->submit({"operator/" + name_, id, *body_});
        })
            .then(
                [this, attempt, id, retry](Result<coordinator::Outcome> result) {
                  if (result) {
                    checkers_.answered(id, result->index);
                    cluster_.world().after(
                        cluster_.network().delay(),
                        [this, attempt, index = result->index] { answered(attempt, index); });
                  } else if (mayTryAgain(result.refusal().code)) {
                    retry();
                  } else if (attempt == attempt_) {  // later ones may end otherwise
                    checkers_.refused(id, cluster_.world().now() - begunAt_, result.refusal());
                    cluster_.world().after(cluster_.network().delay(),
                                           [this, attempt] { refusedForGood(attempt); });
                  }
                },
                [retry](kj::Exception&&) { retry(); });
    machine.process->add(kj::mv(done));
  } else {
    retry();
  }
}

void Client::answered(uint64_t attempt, LogIndex index) {
  checkers_.heard(index);
  lastIndex_ = std::max(lastIndex_, index);
  if (attempt != attempt_) return;  // a late answer to what was asked again
  attempt_++;
  counts_.accepted++;
  cluster_.world().mix(index.value);
  cluster_.world().after(draw(20_ms, 800_ms), [this] { next(); });
}

void Client::refusedForGood(uint64_t attempt) {
  if (attempt != attempt_) return;
  attempt_++;
  counts_.refused++;
  cluster_.world().after(draw(20_ms, 800_ms), [this] { next(); });
}

// The outcome is unknown, or nobody leads there: the same request, perhaps elsewhere.
void Client::again(uint64_t attempt) {
  if (attempt != attempt_) return;
  counts_.retried++;
  favourite_ = random_.below(cluster_.coordinators().size());
  tryOnce();
}

// Everybody who takes itself for the leader is asked: a deposed one must not answer.
void Client::readOnce() {
  counts_.reads++;
  LogIndex known = checkers_.heardOf();
  for (auto& machine : cluster_.coordinators()) {
    if (machine->host.isUp()) readFrom(*machine, known);
  }
  cluster_.world().after(draw(20_ms, 400_ms), [this] { next(); });
}

void Client::readFrom(CoordinatorMachine& machine, LogIndex known) {
  World& world = cluster_.world();
  world.at(world.now() + cluster_.network().delay(), machine.host, [this, &machine, known] {
    if (machine.process == nullptr) return;
    KJ_IF_MAYBE (driver, machine.process->coordinator().driver()) {
      auto look = [](const coordinator::State& state) { return state.applied; };
      auto took = [this, &machine, known](LogIndex index) {
        checkers_.read(machine.name, index, known);
        cluster_.world().after(cluster_.network().delay(),
                               [this, index] { checkers_.heard(index); });
      };
      auto done = driver->read<LogIndex>(coordinator::ReadMode::LINEARIZABLE, look)
                      .then(kj::mv(took), [](kj::Exception&&) {});
      machine.process->add(kj::mv(done));
    }
  });
}

// From whomever, with the last index seen: nothing from before it may come back.
void Client::readStale(CoordinatorMachine& machine, LogIndex known) {
  World& world = cluster_.world();
  world.at(world.now() + cluster_.network().delay(), machine.host, [this, &machine, known] {
    if (machine.process == nullptr) return;
    coordinator::ApiCall call{"viewer/" + name_, RequestId{}, known};
    coordinator::ReadCall how{true, LogIndex{}, Duration{}};
    auto look = [](const coordinator::ObjectView&) -> Result<coordinator::Json> {
      return coordinator::Json::object();
    };
    auto done = coordinator::readObject(machine.process->api(), call, how, look)
                    .then(
                        [this, &machine, known](Result<coordinator::Answer> answer) {
                          if (!answer) return;
                          LogIndex index = answer->index;
                          checkers_.readStale(machine.name, index, known);
                          cluster_.world().after(cluster_.network().delay(), [this, index] {
                            lastIndex_ = std::max(lastIndex_, index);
                          });
                        },
                        [](kj::Exception&&) {});
    machine.process->add(kj::mv(done));
  });
}

}  // namespace muster::sim

#include "coordinator/leading.h"

#include "base/planted_bug.h"
#include "coordinator/schema_raiser.h"

#include <kj/debug.h>

namespace muster::coordinator {

struct Leading::Service {
  ObservedKeeper keeper;
  EffectSender sender;
  Reconciler reconciler;
  SchemaRaiser schema;

  Service(Leading& leading, Parts& parts)
      : keeper(parts.registry, parts.clusterClock, leading.driver_.state(), leading.token()),
        sender({parts.env.timer, leading.driver_, parts.registry, keeper, parts.authority,
                parts.facts, parts.env.logger}),
        reconciler({parts.env.timer, parts.env.clock, parts.clusterClock, parts.env.random,
                    leading.driver_, keeper, sender, parts.facts, parts.env.logger,
                    "coordinator/" + parts.self.value}),
        schema({parts.env, parts.settings, leading.driver_}) {}
};

Leading::Leading(Parts parts, kj::Own<failover::Leadership> leadership, std::string reason)
    : parts_(kj::mv(parts)),
      leadership_(kj::mv(leadership)),
      reason_(kj::mv(reason)),
      driver_({parts_.follower.lend(), *leadership_, parts_.env.store, parts_.clusterClock,
               parts_.env.clock, parts_.facts, parts_.env.logger}),
      resigned_(kj::newPromiseAndFulfiller<failover::LeadershipEnded>()),
      tasks_("leader") {
  driver_.onEvents(parts_.onEvents);
  driver_.onStored(parts_.onCommitted);
}

Leading::~Leading() noexcept(false) {
  driver_.end(KJ_EXCEPTION(DISCONNECTED, "the leadership is over"));
  parts_.facts.fencedAttempts += leadership_->fencedAttempts();
  parts_.facts.stage = Stage::STANDBY;
}

kj::Promise<failover::LeadershipEnded> Leading::run() {
  auto fault = driver_.fault().then(
      []() -> failover::LeadershipEnded { KJ_FAIL_ASSERT("a fault has no result"); });
  return leadership_->ended()
      .exclusiveJoin(kj::mv(resigned_.promise))
      .exclusiveJoin(kj::mv(fault))
      .exclusiveJoin(serveCo().asPromise())
      .then([this](failover::LeadershipEnded ended) {
        over(ended);
        return ended;
      });
}

Co<failover::LeadershipEnded> Leading::serveCo() {
  CommandBody started =
      LeaderStarted{parts_.self, leadership_->epoch(), reason_, parts_.incarnation};
  auto index = driver_.propose(started, "coordinator/" + parts_.self.value);
  KJ_REQUIRE(index.ok(), "the start of this leadership was refused", index.refusal().text.c_str());
  co_await driver_.committed(*index);
  service_ = kj::heap<Service>(*this, parts_);
  serving_ = true;
  parts_.facts.stage = Stage::SERVING;
  parts_.facts.takeover.serving = parts_.env.clock.steadyNow();
  parts_.onServing();
  parts_.env.logger.info("serving",
                         {{"epoch", leadership_->epoch()}, {"index", *index}, {"reason", reason_}});
  logTakeover();
  co_await service_->reconciler.run().exclusiveJoin(service_->schema.run());
  KJ_FAIL_ASSERT("the leader's work ended by itself");
}

// On the kernel's boot clock, so that the logs of one machine can be laid side by side.
void Leading::logTakeover() const {
  const TakeoverTimes& times = parts_.facts.takeover;
  auto micros = [](SteadyTime time) { return time.nanos / 1000; };
  parts_.env.logger.info("takeover times", {{"epoch", leadership_->epoch()},
                                            {"guessed_us", micros(times.guessed)},
                                            {"elected_us", micros(times.elected)},
                                            {"caught_up_us", micros(times.caughtUp)},
                                            {"serving_us", micros(times.serving)}});
}

void Leading::resign(std::string why) {
  if (!resigned_.fulfiller->isWaiting()) return;
  parts_.env.logger.warn("stopped leading", {{"why", why}});
  resigned_.fulfiller->fulfill({failover::LeadershipEnd::FENCED, kj::mv(why)});
}

kj::Promise<bool> Leading::handOver(CoordinatorId successor) {
  KJ_REQUIRE(!handingOver(), "a hand-over is under way already");
  auto done = kj::newPromiseAndFulfiller<bool>();
  handOver_ = kj::mv(done.fulfiller);
  auto pausing = [this] { driver_.pause(); };
  tasks_.add(leadership_->handOver(kj::mv(successor), pausing).then([this](bool handedOver) {
    handOverDone(handedOver);
  }));
  return kj::mv(done.promise);
}

void Leading::handOverDone(bool done) {
  driver_.resume();
  KJ_IF_MAYBE (fulfiller, handOver_) (*fulfiller)->fulfill(kj::mv(done));
  handOver_ = nullptr;
}

void Leading::over(const failover::LeadershipEnded& ended) {
  bool handedOver = ended.why == failover::LeadershipEnd::HANDED_OVER;
  // What was in flight is counted by the leadership; this is the check that is due and will not be
  // made.
  if (!handedOver) parts_.facts.fencedAttempts++;
  driver_.end(KJ_EXCEPTION(DISCONNECTED, ended.text.c_str()));
  handOverDone(handedOver);
}

const Observed* Leading::observed() const {
  return service_.get() == nullptr ? nullptr : &service_->keeper.observed();
}

Duration Leading::extendLease(const NodeName& node) {
  if (!serving_) return {};
  Instant proven = parts_.clusterClock.at(leadership_->lastCommittedCheckSent());
  if (MUSTER_PLANTED_BUG(RENEWED_UNCHECKED)) proven = parts_.clusterClock.now();
  Duration remaining = service_->keeper.extendLease(node, proven);
  const State& state = driver_.state();
  bool isReady =
      ready_.isReady(node, state.findNode(node), state.applied, parts_.facts.committedIndex);
  return isReady ? remaining : Duration{};
}

}  // namespace muster::coordinator

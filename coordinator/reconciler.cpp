#include "coordinator/reconciler.h"

#include "base/kj_time.h"

#include <algorithm>

namespace muster::coordinator {

Reconciler::Reconciler(Parts parts) : parts_(kj::mv(parts)) {
  parts_.driver.onApplied([this](const CommandBody& body) {
    index_.note(body);
    poke();
  });
  parts_.keeper.onChanged([this] { poke(); });
}

kj::Promise<void> Reconciler::run() { return runCo(); }

void Reconciler::poke() {
  poked_ = true;
  KJ_IF_MAYBE (fulfiller, waiting_) (*fulfiller)->fulfill();
}

Co<void> Reconciler::runCo() {
  for (;;) {
    co_await nextReason();
    // A look at many nodes takes long: what calls need of the loop, they have between two looks.
    co_await parts_.timer.afterDelay(toKj(std::max(RECONCILE_PAUSE, lookTook_ * PAUSE_PER_LOOK)));
    uint64_t rejected = parts_.facts.rejectedCommands;
    once();
    // A bug: without a pause it would fill the log.
    if (parts_.facts.rejectedCommands != rejected) {
      co_await parts_.timer.afterDelay(toKj(RECONCILE_EVERY));
    }
  }
}

kj::Promise<void> Reconciler::nextReason() {
  if (poked_) return kj::READY_NOW;
  auto poked = kj::newPromiseAndFulfiller<void>();
  waiting_ = kj::mv(poked.fulfiller);
  Duration wait = RECONCILE_EVERY;
  if (wakeAt_) wait = std::min(wait, std::max(*wakeAt_ - parts_.clusterClock.now(), Duration{0}));
  return poked.promise.exclusiveJoin(parts_.timer.afterDelay(toKj(wait)));
}

void Reconciler::once() {
  // Cleared before the look: what our own proposals change is looked at again.
  poked_ = false;
  SteadyTime began = parts_.clock.steadyNow();
  Effects effects = reconcile(parts_.driver.state(), parts_.keeper.observed(),
                              parts_.clusterClock.now(), parts_.random, index_);
  lookTook_ = parts_.clock.steadyNow() - began;
  measure(effects);
  wakeAt_ = effects.wakeAt;
  propose(effects.proposals);
  for (NodeOrder& order : effects.orders) parts_.sender.send(kj::mv(order));
}

void Reconciler::propose(const std::vector<CommandBody>& proposals) {
  for (const CommandBody& body : proposals) {
    auto index = parts_.driver.propose(body, parts_.principal);
    if (!index) {
      // One before it may have made it needless; the next look decides.
      parts_.logger.debug("a proposal was refused",
                          {{"code", index.refusal().code}, {"text", index.refusal().text}});
    }
  }
}

void Reconciler::measure(const Effects& effects) {
  parts_.facts.reconcileDuration.add(lookTook_);
  bool planned = false;
  for (const CommandBody& body : effects.proposals) {
    const auto* waiting = std::get_if<ReplicaWaiting>(&body);
    if (waiting != nullptr) parts_.facts.placementFailures[waiting->reason]++;
    planned |= waiting != nullptr || std::holds_alternative<ReplicaPlaced>(body);
  }
  if (planned) parts_.facts.placementDuration.add(lookTook_);
}

}  // namespace muster::coordinator

// Runs reconcile when something has changed or time has come, and does what it says.
#pragma once

#include "base/co.h"
#include "base/random.h"
#include "coordinator/core/reconcile.h"
#include "coordinator/driver.h"
#include "coordinator/effect_sender.h"
#include "coordinator/observed_keeper.h"

#include <kj/async.h>
#include <kj/timer.h>

namespace muster::coordinator {

// What happens meanwhile is looked at together.
constexpr Duration RECONCILE_PAUSE = 2_ms;
// And no shorter than so many times what the look before took: of the leader's time, looks at many
// nodes take a quarter at most.
constexpr int64_t PAUSE_PER_LOOK = 3;
constexpr Duration RECONCILE_EVERY = 1_s;  // a second look though nothing seems to have changed

class Reconciler {
 public:
  // All borrowed; they outlive this.
  struct Parts {
    kj::Timer& timer;
    const Clock& clock;
    const ClusterClock& clusterClock;
    Random& random;
    Driver& driver;
    ObservedKeeper& keeper;
    EffectSender& sender;
    CoordinatorFacts& facts;
    Logger& logger;
    std::string principal;  // "coordinator/co1"
  };
  explicit Reconciler(Parts parts);

  // Until cancelled, or rejected with what is wrong.
  kj::Promise<void> run();
  // Something may have changed.
  void poke();

 private:
  Co<void> runCo();
  void once();
  void propose(const std::vector<CommandBody>& proposals);
  void measure(const Effects& effects);
  kj::Promise<void> nextReason();

  Parts parts_;
  bool poked_ = true;
  Duration lookTook_;
  ClusterIndex index_;  // kept from look to look
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> waiting_;
  std::optional<Instant> wakeAt_;
};

}  // namespace muster::coordinator

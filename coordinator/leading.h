// One leadership from "caught up" to its end: built whole, torn down whole.
#pragma once

#include "base/co.h"
#include "base/tasks.h"
#include "coordinator/cluster_clock.h"
#include "coordinator/driver.h"
#include "coordinator/effect_sender.h"
#include "coordinator/environment.h"
#include "coordinator/follower.h"
#include "coordinator/leases.h"
#include "coordinator/observed_keeper.h"
#include "coordinator/reconciler.h"
#include "coordinator/worker_gate.h"
#include "failover/leadership.h"

#include <kj/async.h>

#include <string>

namespace muster::coordinator {

class Leading {
 public:
  struct Parts {
    CoordinatorEnvironment env;
    CoordinatorId self;
    Incarnation incarnation;
    ClusterClock& clusterClock;
    Follower& follower;
    CoordinatorFacts& facts;
    WorkerRegistry& registry;
    WorkerAuthority& authority;
    std::function<void()> onCommitted;  // the committed index has grown
    std::function<void(const std::vector<Event>&)> onEvents;
    std::function<void()> onServing;  // from now on
    const CoordinatorSettings& settings;
  };
  Leading(Parts parts, kj::Own<failover::Leadership> leadership, std::string reason);
  ~Leading() noexcept(false);
  KJ_DISALLOW_COPY(Leading);

  // Commits LeaderStarted, serves, and resolves when the leadership is over. Rejected (FAILED) when
  // this coordinator must stop.
  kj::Promise<failover::LeadershipEnded> run();

  // Stops leading because of `why`, without a successor.
  void resign(std::string why);
  // See Leadership::handOver. New requests wait from the moment when the successor is known, and
  // are refused when it leads. The promise may outlive this leadership, which resolves it when it
  // ends.
  kj::Promise<bool> handOver(CoordinatorId successor);
  bool handingOver() const { return handOver_ != nullptr; }

  bool serving() const { return serving_; }
  Driver& driver() { return driver_; }
  const Observed* observed() const;
  failover::Leadership& leadership() { return *leadership_; }
  FencingToken token() const { return {leadership_->history(), leadership_->epoch()}; }
  Duration extendLease(const NodeName& node);

 private:
  struct Service;  // what runs while serving

  Co<failover::LeadershipEnded> serveCo();
  void logTakeover() const;
  void over(const failover::LeadershipEnded& ended);
  void handOverDone(bool done);

  Parts parts_;
  kj::Own<failover::Leadership> leadership_;
  std::string reason_;
  Driver driver_;
  bool serving_ = false;
  ReadyBook ready_;
  kj::PromiseFulfillerPair<failover::LeadershipEnded> resigned_;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<bool>>> handOver_;
  kj::Own<Service> service_;
  Tasks tasks_;
};

}  // namespace muster::coordinator

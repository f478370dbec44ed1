// What the leader of this moment sees of its workers: fed by the registry, read by reconcile, gone
// with the leadership.
#pragma once

#include "coordinator/cluster_clock.h"
#include "coordinator/core/observed.h"
#include "coordinator/core/state.h"
#include "coordinator/leases.h"
#include "coordinator/worker_registry.h"

#include <functional>

namespace muster::coordinator {

class ObservedKeeper final : public AttachmentListener {
 public:
  // Starts with every node of `state` unattached and a lease granted from now. A connection that
  // was there before this leadership counts as attached from its next heartbeat on, so that what
  // the agent said to a standby, which may be older than an order of the leader before, decides
  // nothing.
  ObservedKeeper(WorkerRegistry& registry, const ClusterClock& clock, const State& state,
                 FencingToken token);
  ~ObservedKeeper() noexcept(false) override;
  KJ_DISALLOW_COPY(ObservedKeeper);

  const Observed& observed() const { return observed_; }
  void onChanged(std::function<void()> handler) { onChanged_ = kj::mv(handler); }

  // See LeaseBook::extend.
  Duration extendLease(const NodeName& node, Instant checkSent);

  void noteSent(const NodeName& node, const OrderStamp& stamp);
  // The order did not arrive, or nobody knows: reconcile shall send again.
  void noteNotSent(const NodeName& node, const OrderStamp& stamp);
  void noteObeyed(const NodeName& node, const OrderStamp& stamp);

  void attached(const NodeName& node) override;
  void reported(const NodeName& node, ReportNews news) override;
  void broken(const NodeName& node) override;

 private:
  void take(const NodeName& node, const Attachment& attachment);
  void changed() {
    if (onChanged_) onChanged_();
  }

  WorkerRegistry& registry_;
  const ClusterClock& clock_;
  LeaseBook leases_;
  Observed observed_;
  std::map<NodeName, AttachmentId> attachments_;  // taken in this leadership
  std::function<void()> onChanged_;
};

}  // namespace muster::coordinator

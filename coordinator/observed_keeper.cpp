#include "coordinator/observed_keeper.h"

#include "coordinator/core/time_math.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

std::map<RankRef, RankReport> byRef(const std::vector<RankReport>& reports) {
  std::map<RankRef, RankReport> ranks;
  for (const RankReport& report : reports) ranks.insert_or_assign(report.ref, report);
  return ranks;
}

}  // namespace

ObservedKeeper::ObservedKeeper(WorkerRegistry& registry, const ClusterClock& clock,
                               const State& state, FencingToken token)
    : registry_(registry), clock_(clock), leases_(clock.now()) {
  observed_.token = token;
  observed_.leadingSince = clock.now();
  for (const auto& [name, node] : state.nodes) {
    if (node.reachability != NodePhase::READY) leases_.limitGrant(name, node.suspectRemaining);
    observed_.nodes[name].leaseEnd = leases_.end(name);
  }
  registry_.subscribe(*this);
}

ObservedKeeper::~ObservedKeeper() noexcept(false) { registry_.unsubscribe(); }

Duration ObservedKeeper::extendLease(const NodeName& node, Instant checkSent) {
  Duration remaining = leases_.extend(node, checkSent, clock_.now());
  // A worker that is heard is there, also while no epoch check commits and no lease can be given.
  observed_.nodes[node].leaseEnd = std::max(leases_.end(node), later(clock_.now(), LEASE));
  return remaining;
}

void ObservedKeeper::noteSent(const NodeName& node, const OrderStamp& stamp) {
  observed_.nodes[node].sent = stamp;
}

void ObservedKeeper::noteNotSent(const NodeName& node, const OrderStamp& stamp) {
  auto& observed = observed_.nodes[node];
  if (observed.sent != stamp) return;  // a newer one is on its way
  observed.sent = {};
  changed();
}

void ObservedKeeper::noteObeyed(const NodeName& node, const OrderStamp& stamp) {
  auto& observed = observed_.nodes[node];
  observed.obeyed = std::max(observed.obeyed, stamp);
  changed();
}

void ObservedKeeper::attached(const NodeName& node) {
  const Attachment* attachment = registry_.find(node);
  if (attachment == nullptr) return;
  take(node, *attachment);
  changed();
}

// That nothing has changed is news as well when it was a standby, before, whom the rest was told.
void ObservedKeeper::reported(const NodeName& node, ReportNews said) {
  const Attachment* attachment = registry_.find(node);
  if (attachment == nullptr) return;
  auto taken = attachments_.find(node);
  if (taken == attachments_.end() || taken->second != attachment->id) {
    take(node, *attachment);
    changed();
    return;
  }
  if (said == ReportNews::NONE) return;
  auto& observed = observed_.nodes[node];
  auto ranks = byRef(attachment->ranks);
  auto obeyed = std::max(observed.obeyed, attachment->obeyed);
  bool news = ranks != observed.ranks || obeyed != observed.obeyed ||
              attachment->obeyed != observed.reported || attachment->hello.node != observed.hello;
  observed.hello = attachment->hello.node;
  observed.ranks = std::move(ranks);
  observed.reported = attachment->obeyed;
  observed.obeyed = obeyed;
  if (news) changed();
}

void ObservedKeeper::broken(const NodeName& node) {
  if (attachments_.erase(node) == 0) return;  // never heard of in this leadership: its grant rules
  auto& observed = observed_.nodes[node];
  observed.attached = false;
  observed.brokenSince = clock_.now();
  changed();
}

void ObservedKeeper::take(const NodeName& node, const Attachment& attachment) {
  attachments_[node] = attachment.id;
  auto& observed = observed_.nodes[node];
  observed.attached = true;
  observed.agent = attachment.hello.incarnation;
  observed.hello = attachment.hello.node;
  observed.brokenSince = std::nullopt;
  // An attach is as good a sign of life as a heartbeat.
  observed.leaseEnd = std::max(leases_.end(node), later(clock_.now(), LEASE));
  observed.ranks = byRef(attachment.ranks);
  observed.reported = attachment.obeyed;
  observed.obeyed =
      attachment.obeyed;  // of this incarnation's own store; may be lower than what we sent before
  // What was sent over the older connection may never have arrived.
  observed.sent = {};
}

}  // namespace muster::coordinator

#include "tests/sim/lease_checker.h"

#include "tests/sim/deed_checker.h"
#include "tests/sim/process.h"

namespace muster::sim {
namespace {

constexpr Duration SILENCE = 2500_ms;   // a heartbeat comes each second
constexpr Duration LOOK_EVERY = 20_ms;  // with hundreds of workers each event would be too much

}  // namespace

void LeaseChecker::look(coordinator::Coordinator& leader, DeedChecker& deeds) {
  SteadyTime now = cluster_.world().now();
  if (now - lookedAt_ < LOOK_EVERY) return;
  lookedAt_ = now;
  const coordinator::Observed* observed = leader.observed();
  if (observed == nullptr) return;
  for (auto& worker : cluster_.workers()) {
    auto seen = observed->nodes.find(worker->site.node().name);
    Instant grantEnd = observed->leadingSince + coordinator::TAKEOVER_LEASE;
    bool isKnown = seen != observed->nodes.end();
    bool isHeard = isKnown && seen->second.attached &&
                   leader.clusterNow() < seen->second.leaseEnd - coordinator::LEASE + SILENCE;
    if (isHeard) deeds.heard(seen->first, leader.clusterNow());
    compare(leader, *worker, isKnown ? seen->second.leaseEnd : grantEnd);
  }
}

void LeaseChecker::compare(coordinator::Coordinator& leader, WorkerMachine& machine,
                           Instant leaseEnd) {
  if (machine.process == nullptr || leader.clusterNow() < leaseEnd) return;
  auto status = machine.process->agent().status();
  if (status.lease != worker::LeaseState::HELD) return;
  cluster_.world().violated("a lease is over for the worker first",
                            machine.host.name() + " holds its lease for another " +
                                std::to_string(status.leaseRemaining.millis()) +
                                " ms, and for the leader it is over");
}

}  // namespace muster::sim

// Generations that have to end: surplus, failed, on a node given up, on a device that is gone,
// late, or outdated. One that has lost a part of its ranks is followed in place where that is
// possible.
#include "base/planted_bug.h"
#include "coordinator/core/phase_rules.h"
#include "coordinator/core/reconcile_recovery.h"
#include "coordinator/core/reconcile_topics.h"
#include "coordinator/core/time_math.h"
#include "sharding/text.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

struct Cause {
  Reason reason = Reason::NONE;
  std::string message;
};

struct Candidate {
  const DeploymentState& deployment;
  ReplicaNumber number;
  const ReplicaState& replica;
  const PlacedGeneration& generation;
  const Loss loss;
};

std::optional<Cause> isSurplus(const Look&, const Candidate& c) {
  if (c.deployment.deleting) return Cause{Reason::NONE, "the deployment is deleted"};
  if (c.number.value < c.deployment.spec.replicas) return std::nullopt;
  return Cause{Reason::NONE,
               "scaled to " + sharding::counted(c.deployment.spec.replicas, "replica")};
}

std::optional<Cause> hasLostRanks(const Look&, const Candidate& c) {
  if (c.loss.ranks.empty()) return std::nullopt;
  return Cause{c.loss.reason, c.loss.message};
}

std::optional<Cause> isLate(const Look& look, const Candidate& c) {
  if (c.generation.readyAt.nanos != 0) return std::nullopt;
  Instant deadline = later(c.generation.placedAt, c.generation.spec.timeouts.ready);
  if (look.now < deadline) return std::nullopt;
  return Cause{Reason::JOIN_TIMEOUT, "not Ready within " + toAge(c.generation.spec.timeouts.ready) +
                                         ": " + phaseOfRanks(c.generation).message};
}

// The first rule that names a cause wins.
constexpr std::optional<Cause> (*CAUSES[])(const Look&, const Candidate&) = {
    isSurplus,
    hasLostRanks,
    isLate,
};

std::optional<Cause> causeOf(const Look& look, const Candidate& candidate) {
  for (auto rule : CAUSES) {
    if (auto cause = rule(look, candidate)) return cause;
  }
  return std::nullopt;
}

uint32_t unavailable(const Look& look, const DeploymentState& deployment) {
  uint32_t count = 0;
  for (const auto& [number, replica] : deployment.replicas) {
    if (number.value >= deployment.spec.replicas) continue;
    bool serves = replica.phase == ReplicaPhase::READY && replica.current &&
                  !look.retiring.contains({deployment.uid, number, replica.current->generation});
    if (!serves) ++count;
  }
  return count;
}

// Rolling: what does not serve is replaced at once, what serves one at a time and only while all
// others do. There is no surge: the old generation ends before the new one is placed, so one
// replica alone has a gap.
void replaceOutdated(Look& look, const DeploymentState& deployment) {
  std::optional<uint32_t> missing;  // looked up once, for each look counts all replicas
  for (const auto& [number, replica] : deployment.replicas) {
    if (!isOutdated(deployment, replica)) continue;
    if (!missing) missing = unavailable(look, deployment);
    GenerationRef ref{deployment.uid, number, replica.current->generation};
    if (look.retiring.contains(ref)) continue;
    bool serves = replica.phase == ReplicaPhase::READY;
    bool gap = *missing > 0 && !MUSTER_PLANTED_BUG(ROLL_ALL_AT_ONCE);
    if (serves && gap) continue;
    if (serves) ++*missing;
    look.retire(ref, Reason::NONE,
                "replaced by revision " + std::to_string(deployment.templateRevision.value));
  }
}

// True when the ranks that were lost are, or will be in a moment, replaced in place.
bool isRecovered(Look& look, const Candidate& c) {
  if (c.loss.ranks.empty() || isSurplus(look, c)) return false;
  return recover(look, c.deployment, c.number, c.loss) != Recovery::IMPOSSIBLE;
}

}  // namespace

void reconcileRetirement(Look& look) {
  for (const auto& [uid, deployment] : look.state.deployments) {
    for (const auto& [number, replica] : deployment.replicas) {
      if (!replica.current) continue;
      Candidate candidate{deployment, number, replica, *replica.current,
                          lossOf(look, *replica.current)};
      if (isRecovered(look, candidate)) continue;
      if (auto cause = causeOf(look, candidate)) {
        look.retire({uid, number, replica.current->generation}, cause->reason, cause->message);
      } else if (replica.current->readyAt.nanos == 0) {
        look.wakeAt(later(replica.current->placedAt, replica.current->spec.timeouts.ready));
      }
    }
    replaceOutdated(look, deployment);
  }
}

}  // namespace muster::coordinator

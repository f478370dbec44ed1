// Generations that have to end: surplus, failed, on a node given up, on a device that is gone,
// late, or outdated.
#include "base/planted_bug.h"
#include "coordinator/core/phase_rules.h"
#include "coordinator/core/reconcile_topics.h"
#include "coordinator/core/time_math.h"

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
};

std::optional<Cause> isSurplus(const Look&, const Candidate& c) {
  if (c.deployment.deleting) return Cause{Reason::NONE, "the deployment is deleted"};
  if (c.number.value < c.deployment.spec.replicas) return std::nullopt;
  return Cause{Reason::NONE,
               "scaled to " + std::to_string(c.deployment.spec.replicas) + " replicas"};
}

std::optional<Cause> hasFailedRank(const Look&, const Candidate& c) {
  auto view = phaseOfRanks(c.generation);
  if (view.phase != ReplicaPhase::FAILED) return std::nullopt;
  return Cause{view.reason, view.message};
}

std::optional<Cause> isOnLostNode(const Look& look, const Candidate& c) {
  for (const auto& rank : c.generation.placement.ranks) {
    auto lost = look.givenUp.find(rank.node);
    if (lost == look.givenUp.end()) continue;
    return Cause{Reason::NODE_LOST, "node " + rank.node.value + ": " + lost->second};
  }
  return std::nullopt;
}

std::optional<Cause> isOnMissingDevice(const Look& look, const Candidate& c) {
  for (const auto& rank : c.generation.placement.ranks) {
    const NodeState* node = look.state.findNode(rank.node);
    if (!node || node->describedAt < c.generation.placedIndex) continue;
    for (DeviceIndex index : rank.devices) {
      auto device = std::ranges::find(node->info.devices, index, &DeviceInfo::index);
      bool fits = device != node->info.devices.end() && rank.memory <= device->memory;
      if (fits) continue;
      return Cause{Reason::GPU_UNHEALTHY, rank.node.value + ":" + std::to_string(index.value) +
                                              " is gone or smaller than it was"};
    }
  }
  return std::nullopt;
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
    isSurplus, hasFailedRank, isOnLostNode, isOnMissingDevice, isLate,
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
  for (const auto& [number, replica] : deployment.replicas) {
    if (!isOutdated(deployment, replica)) continue;
    GenerationRef ref{deployment.uid, number, replica.current->generation};
    if (look.retiring.contains(ref)) continue;
    bool serves = replica.phase == ReplicaPhase::READY;
    bool gap = unavailable(look, deployment) > 0 && !MUSTER_PLANTED_BUG(ROLL_ALL_AT_ONCE);
    if (serves && gap) continue;
    look.retire(ref, Reason::NONE,
                "replaced by revision " + std::to_string(deployment.templateRevision.value));
  }
}

}  // namespace

void reconcileRetirement(Look& look) {
  for (const auto& [uid, deployment] : look.state.deployments) {
    for (const auto& [number, replica] : deployment.replicas) {
      if (!replica.current) continue;
      Candidate candidate{deployment, number, replica, *replica.current};
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

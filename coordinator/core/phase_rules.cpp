#include "coordinator/core/phase_rules.h"

#include "coordinator/core/time_math.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

bool hasEnded(ReplicaPhase phase) { return phase > ReplicaPhase::READY; }

const char* const NOUNS[] = {"Pending", "Fetching", "Loading", "Joining", "Warming", "Ready"};

// "Joining: 2 of 4 ranks there; waiting for rank 1 (w2:0), rank 3 (w4:0)"
std::string progressMessage(const PlacedGeneration& generation, ReplicaPhase phase) {
  if (phase == ReplicaPhase::READY) return "";
  constexpr size_t NAMED_MAX = 4;
  size_t behind = 0;
  std::string names;
  for (uint32_t i = 0; i < generation.ranks.size(); ++i) {
    if (generation.ranks[i].phase != phase) continue;
    if (++behind <= NAMED_MAX) {
      names += (behind == 1 ? "" : ", ") + rankName(generation.placement, {i});
    }
  }
  if (behind > NAMED_MAX) names += " and " + std::to_string(behind - NAMED_MAX) + " more";
  return std::to_string(generation.ranks.size() - behind) + " of " +
         std::to_string(generation.ranks.size()) + " ranks past " +
         NOUNS[static_cast<size_t>(phase)] + "; waiting for " + names;
}

bool servesNow(const DeploymentState& deployment, ReplicaNumber number,
               const ReplicaState& replica) {
  return number.value < deployment.spec.replicas && replica.phase == ReplicaPhase::READY &&
         !isOutdated(deployment, replica);
}

// What the phase of a deployment follows from, by one look at each replica: this is asked with
// every replica that changes.
struct Tally {
  uint32_t ready = 0;
  bool outdated = false;
  bool placed = false;
  bool failed = false;
  // The lowest replica that is not as it should be; null: all are.
  const ReplicaState* troubled = nullptr;
  ReplicaNumber troubledNumber;
};

Tally tallyOf(const DeploymentState& deployment) {
  Tally tally;
  for (const auto& [number, replica] : deployment.replicas) {
    if (servesNow(deployment, number, replica)) ++tally.ready;
    tally.outdated |= isOutdated(deployment, replica);
    tally.placed |= replica.current.has_value();
    tally.failed |= replica.phase == ReplicaPhase::FAILED;
    if (tally.troubled != nullptr || replica.reason == Reason::NONE) continue;
    tally.troubled = &replica;
    tally.troubledNumber = number;
  }
  return tally;
}

DeploymentPhase mainPhase(const DeploymentState& deployment, const Tally& tally) {
  if (deployment.deleting) return DeploymentPhase::DRAINING;
  if (deployment.spec.replicas == 0) {
    return deployment.replicas.empty() ? DeploymentPhase::STOPPED : DeploymentPhase::DRAINING;
  }
  if (tally.ready == deployment.spec.replicas) return DeploymentPhase::READY;
  bool wasUpdating = deployment.phase == DeploymentPhase::UPDATING;
  if (tally.outdated || (wasUpdating && !tally.failed)) return DeploymentPhase::UPDATING;
  bool served = deployment.phase == DeploymentPhase::READY ||
                deployment.phase == DeploymentPhase::DEGRADED || wasUpdating;
  if (tally.ready > 0) {
    return served || tally.failed ? DeploymentPhase::DEGRADED : DeploymentPhase::STARTING;
  }
  if (tally.failed) return DeploymentPhase::FAILED;
  return tally.placed ? DeploymentPhase::STARTING : DeploymentPhase::PENDING;
}

Severity severityOf(ReplicaPhase phase) {
  return phase == ReplicaPhase::FAILED || phase == ReplicaPhase::LOST ? Severity::WARNING
                                                                      : Severity::INFO;
}

Severity severityOf(DeploymentPhase phase) {
  bool bad = phase == DeploymentPhase::FAILED || phase == DeploymentPhase::DEGRADED;
  return bad ? Severity::WARNING : Severity::INFO;
}

// Which ranks are awaited changes too often for an event; what is wrong does not.
std::string enteredMessage(const PhaseView<ReplicaPhase>& view, ReplicaPhase before,
                           Duration inIt) {
  std::string text =
      "after " + toAge(std::max(inIt, Duration{})) + " " + std::string(toText(before));
  if (view.reason != Reason::NONE) {
    text += "; " + std::string(toText(view.reason)) + ": " + view.message;
  }
  return text;
}

std::string enteredMessage(const PhaseView<DeploymentPhase>& view, DeploymentPhase before,
                           Duration inIt) {
  std::string text =
      "after " + toAge(std::max(inIt, Duration{})) + " " + std::string(toText(before));
  return view.message.empty() ? text : text + "; " + view.message;
}

}  // namespace

PhaseView<ReplicaPhase> phaseOfRanks(const PlacedGeneration& generation) {
  ReplicaPhase least = ReplicaPhase::READY;
  for (uint32_t i = 0; i < generation.ranks.size(); ++i) {
    const RankState& rank = generation.ranks[i];
    if (hasEnded(rank.phase)) {
      Reason reason = rank.reason != Reason::NONE ? rank.reason : Reason::ENGINE_EXITED;
      std::string text = rankName(generation.placement, {i});
      if (!rank.message.empty()) text += ": " + rank.message;
      return {ReplicaPhase::FAILED, reason, text};
    }
    least = std::min(least, rank.phase);
  }
  return {least, Reason::NONE, progressMessage(generation, least)};
}

uint32_t readyReplicas(const DeploymentState& deployment) {
  return static_cast<uint32_t>(std::ranges::count_if(deployment.replicas, [&](const auto& entry) {
    return servesNow(deployment, entry.first, entry.second);
  }));
}

bool isOutdated(const DeploymentState& deployment, const ReplicaState& replica) {
  return replica.current && replica.current->revision < deployment.templateRevision;
}

PhaseView<DeploymentPhase> phaseOfReplicas(const DeploymentState& deployment) {
  Tally tally = tallyOf(deployment);
  PhaseView<DeploymentPhase> view{mainPhase(deployment, tally), Reason::NONE, ""};
  if (view.phase == DeploymentPhase::DRAINING || view.phase == DeploymentPhase::STOPPED)
    return view;
  view.message = std::to_string(tally.ready) + " of " + std::to_string(deployment.spec.replicas) +
                 " replicas ready";
  if (view.phase == DeploymentPhase::READY) return view;
  if (tally.troubled != nullptr) {
    view.reason = tally.troubled->reason;
    // The first clause only: a table of nodes belongs to the replica, not into every list.
    const std::string& message = tally.troubled->message;
    view.message += "; " + replicaName(deployment, tally.troubledNumber) + ": " +
                    message.substr(0, message.find("; "));
  }
  return view;
}

void setReplicaPhase(Change& change, DeploymentState& deployment, ReplicaNumber number,
                     PhaseView<ReplicaPhase> view) {
  ReplicaState& replica = deployment.replicas.at(number);
  bool otherReason = replica.reason != view.reason;
  if (replica.phase == view.phase && !otherReason && replica.message == view.message) return;
  bool isNews = replica.phase != view.phase || (otherReason && view.reason != Reason::NONE);
  change.touch(ReplicaKey{deployment.uid, number});
  if (isNews) {
    change.addEvent(severityOf(view.phase), std::string(toText(view.phase)),
                    replicaName(deployment, number), deployment.spec.tenant.value,
                    enteredMessage(view, replica.phase, elapsed(replica.since, change.now)));
  }
  if (replica.phase != view.phase) {
    replica.since = change.now;
    replica.sinceWall = change.wall;
  }
  replica.phase = view.phase;
  replica.reason = view.reason;
  replica.message = std::move(view.message);
}

void refreshDeployment(Change& change, DeploymentState& deployment) {
  PhaseView<DeploymentPhase> view = phaseOfReplicas(deployment);
  if (deployment.phase == view.phase && deployment.reason == view.reason &&
      deployment.message == view.message) {
    return;
  }
  change.touch(deployment.uid);
  if (deployment.phase != view.phase) {
    change.addEvent(severityOf(view.phase), std::string(toText(view.phase)),
                    deployment.spec.name.value, deployment.spec.tenant.value,
                    enteredMessage(view, deployment.phase, elapsed(deployment.since, change.now)));
    deployment.since = change.now;
    deployment.sinceWall = change.wall;
  }
  deployment.phase = view.phase;
  deployment.reason = view.reason;
  deployment.message = std::move(view.message);
}

}  // namespace muster::coordinator

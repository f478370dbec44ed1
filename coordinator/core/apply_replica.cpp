#include "base/planted_bug.h"
#include "coordinator/core/apply_advance.h"
#include "coordinator/core/apply_topics.h"
#include "coordinator/core/failures.h"
#include "coordinator/core/phase_rules.h"
#include "coordinator/core/reservations.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

// "w1:0 w2:0-1": where a gang is.
std::string whereText(const Placement& placement) {
  std::map<NodeName, std::set<DeviceIndex>> devices;
  for (const auto& rank : placement.ranks) {
    devices[rank.node].insert(rank.devices.begin(), rank.devices.end());
  }
  std::string text;
  for (const auto& [node, indexes] : devices) {
    text += (text.empty() ? "" : " ") + node.value + ":";
    bool first = true;
    for (DeviceIndex index : indexes) {
      text += (first ? "" : ",") + std::to_string(index.value);
      first = false;
    }
  }
  return text;
}

std::string manifestDigest(const State& state, const DeploymentState& deployment) {
  auto model = state.models.find(deployment.spec.model.source);
  return model == state.models.end() ? "" : model->second.digest;
}

PlacedGeneration newGeneration(const Change& change, const DeploymentState& deployment,
                               const ReplicaPlaced& body) {
  PlacedGeneration generation{.generation = body.generation,
                              .revision = body.revision,
                              .spec = deployment.spec,
                              .plan = body.plan,
                              .placement = body.placement,
                              .secret = body.secret,
                              .manifestDigest = manifestDigest(change.state, deployment),
                              .placedIndex = change.index,
                              .placedAt = change.now,
                              .placedWall = change.wall,
                              .readyAt = {},
                              .ranks = {}};
  RankState rank;
  rank.since = change.now;
  rank.sinceWall = change.wall;
  generation.ranks.assign(body.placement.ranks.size(), rank);
  return generation;
}

PhaseView<ReplicaPhase> phaseAfter(const ReplicaState& replica, const ReplicaRetired& body) {
  if (body.reason == Reason::NODE_LOST) return {ReplicaPhase::LOST, body.reason, body.message};
  if (!failedByItself(body.reason)) return {ReplicaPhase::PENDING, body.reason, body.message};
  std::string text = "attempt " + std::to_string(replica.failedAttempts) +
                     " failed: " + body.message + "; next attempt " +
                     toAge(retryDelay(replica.failedAttempts)) + " after";
  return {ReplicaPhase::FAILED, body.reason, text};
}

RetiredGeneration retiredFrom(const Change& change, const DeploymentState& deployment,
                              const PlacedGeneration& generation, const ReplicaRetired& body) {
  RetiredGeneration retired{.tenant = deployment.spec.tenant,
                            .name = deployment.spec.name,
                            .reason = body.reason,
                            .message = body.message,
                            .placedIndex = generation.placedIndex,
                            .retiredIndex = change.index,
                            .since = change.now,
                            .sinceWall = change.wall,
                            .ranks = {}};
  for (const auto& rank : generation.placement.ranks) retired.ranks.emplace(rank.rank, rank);
  return retired;
}

std::string retiredMessage(const ReplicaRetired& body) {
  std::string text = "generation " + std::to_string(body.generation.value) + " ends";
  if (body.reason != Reason::NONE) text += "; " + std::string(toText(body.reason));
  if (!body.message.empty()) text += ": " + body.message;
  return text;
}

}  // namespace

void applyBody(Change& change, const ReplicaPlaced& body) {
  DeploymentState& deployment = change.state.deployments.at(body.deployment);
  ReplicaState& replica = deployment.replicas.at(body.replica);
  if (replica.current) return applyAdvance(change, body);
  GenerationRef ref{body.deployment, body.replica, body.generation};
  if (!MUSTER_PLANTED_BUG(GENERATION_REUSED)) deployment.nextGeneration = body.generation.next();
  replica.current = newGeneration(change, deployment, body);
  replica.verdicts.clear();
  replica.fixes.clear();
  replica.answeredIndex = {};
  for (const auto& rank : body.placement.ranks) reserve(change.state, ref, rank, change.index);
  noteOrders(change, body.placement);
  change.touch(body.deployment);
  change.touch(ReplicaKey{body.deployment, body.replica});
  change.touchGeneration(ref, body.placement.ranks.size());
  change.addEvent(Severity::INFO, "Placed", replicaName(deployment, body.replica),
                  deployment.spec.tenant.value,
                  "generation " + std::to_string(body.generation.value) + ", tp " +
                      std::to_string(body.plan.tensor) + " x pp " +
                      std::to_string(body.plan.pipeline) + " on " + whereText(body.placement));
  setReplicaPhase(change, deployment, body.replica, phaseOfRanks(*replica.current));
  refreshDeployment(change, deployment);
}

void applyBody(Change& change, const ReplicaWaiting& body) {
  DeploymentState& deployment = change.state.deployments.at(body.deployment);
  ReplicaState& replica = deployment.replicas.at(body.replica);
  replica.verdicts = body.verdicts;
  replica.fixes = body.fixes;
  replica.answeredIndex = change.index;
  change.touch(ReplicaKey{body.deployment, body.replica});
  setReplicaPhase(change, deployment, body.replica,
                  {ReplicaPhase::PENDING, body.reason, body.message});
  refreshDeployment(change, deployment);
}

void applyBody(Change& change, const ReplicaRetired& body) {
  DeploymentState& deployment = change.state.deployments.at(body.deployment);
  ReplicaState& replica = deployment.replicas.at(body.replica);
  GenerationRef ref{body.deployment, body.replica, body.generation};
  PlacedGeneration generation = std::move(*replica.current);
  replica.current.reset();
  change.state.retired.emplace(ref, retiredFrom(change, deployment, generation, body));
  noteOrders(change, generation.placement);
  change.touch(ReplicaKey{body.deployment, body.replica});
  change.touch(RetiredKey{ref});
  change.touchGeneration(ref, generation.ranks.size());
  Severity severity = body.reason == Reason::NONE ? Severity::INFO : Severity::WARNING;
  change.addEvent(severity, "Retired", replicaName(deployment, body.replica),
                  deployment.spec.tenant.value, retiredMessage(body));
  if (deployment.deleting || body.replica.value >= deployment.spec.replicas) {
    deployment.replicas.erase(body.replica);
  } else {
    countFailure(change, replica, generation, body.reason);
    setReplicaPhase(change, deployment, body.replica, phaseAfter(replica, body));
  }
  refreshDeployment(change, deployment);
  finishDeletion(change, body.deployment);
}

}  // namespace muster::coordinator

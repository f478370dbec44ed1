#include "base/planted_bug.h"
#include "coordinator/core/apply_topics.h"
#include "coordinator/core/phase_rules.h"
#include "coordinator/core/reservations.h"
#include "protocol/engine_preset.h"

namespace muster::coordinator {
namespace {

void takeReport(Change& change, RankState& rank, const RankProgressed& body) {
  if (rank.phase != body.phase) {
    rank.since = change.now;
    rank.sinceWall = change.wall;
  }
  rank.phase = body.phase;
  rank.reason = body.reason;
  rank.message = body.message;
  rank.pid = body.pid;
  rank.processStartTime = body.processStartTime;
  rank.loaded = body.loaded;
  rank.rendezvous = body.rendezvous;
  // The first error stays the first.
  if (rank.firstError.empty()) rank.firstError = body.firstError;
}

void addFailure(Change& change, const DeploymentState& deployment,
                const PlacedGeneration& generation, const RankProgressed& body) {
  const RankState& rank = generation.ranks[body.rank.rank.value];
  std::string text = rankName(generation.placement, body.rank.rank);
  if (body.reason != Reason::NONE) text += " " + std::string(toText(body.reason));
  if (!body.message.empty()) text += ": " + body.message;
  if (!rank.firstError.empty()) text += "; first error: " + rank.firstError;
  change.addEvent(Severity::ERROR, "RankFailed", replicaName(deployment, body.rank.replica),
                  deployment.spec.tenant.value, text);
}

void noteReady(Change& change, ReplicaState& replica, const RankRef& rank) {
  if (replica.current->readyAt.nanos == 0) {
    replica.current->readyAt = change.now;
    change.touch(generationOf(rank));
  }
  if (replica.firstError.empty()) return;
  replica.firstError.clear();
  change.touch(ReplicaKey{rank.deployment, rank.replica});
}

}  // namespace

void applyBody(Change& change, const RankProgressed& body) {
  DeploymentState& deployment = change.state.deployments.at(body.rank.deployment);
  ReplicaState& replica = deployment.replicas.at(body.rank.replica);
  RankState& rank = replica.current->ranks[body.rank.rank.value];
  bool failedNow = body.phase == ReplicaPhase::FAILED && rank.phase != ReplicaPhase::FAILED;
  bool headTells = meetingOf(replica.current->spec.engine.kind) == Meeting::HEAD;
  bool tells = !headTells || body.rank.rank.value == 0;
  bool meetsElsewhere = tells && rank.rendezvous != body.rendezvous;
  takeReport(change, rank, body);
  change.touch(body.rank);
  if (meetsElsewhere && !MUSTER_PLANTED_BUG(RENDEZVOUS_UNTOLD))
    noteOrders(change, replica.current->placement);
  if (failedNow) addFailure(change, deployment, *replica.current, body);
  bool leaving = deployment.deleting || body.rank.replica.value >= deployment.spec.replicas;
  if (leaving) return;
  setReplicaPhase(change, deployment, body.rank.replica, phaseOfRanks(*replica.current));
  if (replica.phase == ReplicaPhase::READY) noteReady(change, replica, body.rank);
  refreshDeployment(change, deployment);
}

void applyBody(Change& change, const RanksReleased& body) {
  State& state = change.state;
  std::set<DeploymentUid> deployments;
  size_t released = 0;
  for (const RankRef& ref : body.ranks) {
    auto retired = state.retired.find(generationOf(ref));
    if (retired == state.retired.end()) continue;  // named twice
    auto rank = retired->second.ranks.find(ref.rank);
    if (rank == retired->second.ranks.end()) continue;
    release(state, retired->first, rank->second);
    retired->second.ranks.erase(rank);
    change.touch(RetiredKey{retired->first});
    if (retired->second.ranks.empty()) state.retired.erase(retired);
    deployments.insert(ref.deployment);
    ++released;
  }
  if (!MUSTER_PLANTED_BUG(CAPACITY_UNTOLD)) noteCapacity(change);
  change.addEvent(Severity::INFO, "Released", nodeObject(body.node), "",
                  std::to_string(released) + (released == 1 ? " old rank" : " old ranks") +
                      " stopped, devices are free");
  for (DeploymentUid uid : deployments) finishDeletion(change, uid);
}

}  // namespace muster::coordinator

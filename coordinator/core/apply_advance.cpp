#include "coordinator/core/apply_advance.h"

#include "coordinator/core/advance.h"
#include "coordinator/core/apply_topics.h"
#include "coordinator/core/failures.h"
#include "coordinator/core/phase_rules.h"
#include "coordinator/core/reservations.h"

#include <algorithm>
#include <utility>

namespace muster::coordinator {
namespace {

// A rank that goes on keeps its process; it meets its group again.
RankState nextState(const Change& change, const RankState& before, bool replaced) {
  RankState rank;
  rank.since = change.now;
  rank.sinceWall = change.wall;
  if (replaced) return rank;
  rank.phase = std::min(before.phase, ReplicaPhase::JOINING);
  rank.pid = before.pid;
  rank.processStartTime = before.processStartTime;
  rank.loaded = before.loaded;
  return rank;
}

PlacedGeneration following(const Change& change, const PlacedGeneration& before,
                           const ReplicaPlaced& body, const std::set<RankNumber>& replaced) {
  PlacedGeneration next = before;
  next.generation = body.generation;
  next.placement = body.placement;
  next.secret = body.secret;
  next.placedIndex = change.index;
  next.placedAt = change.now;
  next.placedWall = change.wall;
  next.readyAt = {};
  for (uint32_t i = 0; i < next.ranks.size(); ++i) {
    next.ranks[i] = nextState(change, before.ranks[i], replaced.contains({i}));
  }
  return next;
}

// Passes on what goes on, keeps what may still run somewhere as a retired generation, and takes
// what is new.
void moveReservations(Change& change, const DeploymentState& deployment,
                      const PlacedGeneration& before, const ReplicaPlaced& body,
                      const AdvanceCause& cause) {
  GenerationRef from{body.deployment, body.replica, before.generation};
  auto kept = keptReservations(before, body.placement);
  RetiredGeneration retired{.tenant = deployment.spec.tenant,
                            .name = deployment.spec.name,
                            .reason = cause.reason,
                            .message = cause.message,
                            .placedIndex = before.placedIndex,
                            .retiredIndex = change.index,
                            .since = change.now,
                            .sinceWall = change.wall,
                            .ranks = {}};
  for (const auto& rank : before.placement.ranks) {
    if (kept.contains(rank.rank)) {
      release(change.state, from, rank);
    } else {
      retired.ranks.emplace(rank.rank, rank);
    }
  }
  if (!retired.ranks.empty()) change.state.retired.emplace(from, std::move(retired));
  GenerationRef to{body.deployment, body.replica, body.generation};
  for (const auto& rank : body.placement.ranks) reserve(change.state, to, rank, change.index);
  change.touch(RetiredKey{from});
  change.touchGeneration(from, before.ranks.size());
  change.touchGeneration(to, before.ranks.size());
}

std::string advanceText(const PlacedGeneration& before, const ReplicaPlaced& body,
                        const std::set<RankNumber>& replaced, const AdvanceCause& cause) {
  std::string text = "generation " + std::to_string(body.generation.value) + " follows " +
                     std::to_string(before.generation.value) + ": ";
  for (RankNumber rank : replaced) {
    text += rankName(before.placement, rank) + " starts anew as " + rankName(body.placement, rank) +
            ", ";
  }
  size_t stay = body.placement.ranks.size() - replaced.size();
  text +=
      std::to_string(stay) + (stay == 1 ? " rank keeps its weights" : " ranks keep their weights");
  if (cause.reason != Reason::NONE) text += "; " + std::string(toText(cause.reason));
  return cause.message.empty() ? text : text + ": " + cause.message;
}

}  // namespace

void applyAdvance(Change& change, const ReplicaPlaced& body) {
  DeploymentState& deployment = change.state.deployments.at(body.deployment);
  ReplicaState& replica = deployment.replicas.at(body.replica);
  PlacedGeneration before = std::move(*replica.current);
  auto replaced = replacedRanks(before, body.placement);
  AdvanceCause cause = causeOf(change.state, before, replaced);
  replica.current = following(change, before, body, replaced);
  deployment.nextGeneration = body.generation.next();
  moveReservations(change, deployment, before, body, cause);
  noteOrders(change, before.placement);
  noteOrders(change, body.placement);
  countFailure(change, replica, before, cause.reason);
  change.touch(body.deployment);
  change.touch(ReplicaKey{body.deployment, body.replica});
  change.addEvent(Severity::WARNING, "Advanced", replicaName(deployment, body.replica),
                  deployment.spec.tenant.value, advanceText(before, body, replaced, cause));
  setReplicaPhase(change, deployment, body.replica, phaseOfRanks(*replica.current));
  refreshDeployment(change, deployment);
}

}  // namespace muster::coordinator

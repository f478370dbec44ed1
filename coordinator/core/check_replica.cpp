#include "coordinator/core/advance.h"
#include "coordinator/core/check.h"
#include "coordinator/core/limits.h"
#include "coordinator/core/reservations.h"
#include "protocol/engine_preset.h"
#include "sharding/processes.h"

namespace muster::coordinator {
namespace {

std::string nameOf(DeploymentUid uid, ReplicaNumber replica) {
  return "deployment " + std::to_string(uid.value) + " replica " + std::to_string(replica.value);
}

std::optional<Refusal> checkWanted(const State& state, DeploymentUid uid, ReplicaNumber number) {
  const DeploymentState* deployment = state.findDeployment(uid);
  const ReplicaState* replica = state.findReplica(uid, number);
  if (!replica || deployment->deleting || number.value >= deployment->spec.replicas) {
    return Refusal{RefusalCode::NOT_FOUND, nameOf(uid, number) + " is not wanted"};
  }
  return std::nullopt;
}

std::optional<Refusal> checkUnplaced(const State& state, DeploymentUid uid, ReplicaNumber number) {
  if (auto refusal = checkWanted(state, uid, number)) return refusal;
  const ReplicaState* replica = state.findReplica(uid, number);
  if (!replica->current) return std::nullopt;
  return Refusal{RefusalCode::INVALID_VALUE,
                 nameOf(uid, number) + " has generation " +
                     std::to_string(replica->current->generation.value) + " already"};
}

std::optional<Refusal> checkGang(const ReplicaPlaced& body, ProcessShare share) {
  uint64_t world = uint64_t{body.plan.tensor} * body.plan.pipeline;
  const auto& ranks = body.placement.ranks;
  uint64_t placed = sharding::shardsOf(body.placement, share);
  if (world == 0 || world > WORLD_SIZE_MAX || placed != world) {
    return Refusal{RefusalCode::INVALID_VALUE,
                   nameOf(body.deployment, body.replica) + ": " + std::to_string(placed) +
                       " ranks are placed, the plan has " + std::to_string(world)};
  }
  for (size_t i = 0; i < ranks.size(); ++i) {
    if (ranks[i].rank.value != i || ranks[i].memory.count == 0) {
      return Refusal{RefusalCode::INVALID_VALUE,
                     nameOf(body.deployment, body.replica) + ": place " + std::to_string(i) +
                         " holds rank " + std::to_string(ranks[i].rank.value) + " with " +
                         toText(ranks[i].memory)};
    }
  }
  return std::nullopt;
}

std::optional<Refusal> checkCurrent(const State& state, const GenerationRef& ref) {
  if (state.findCurrent(ref)) return std::nullopt;
  return Refusal{RefusalCode::NOT_FOUND, nameOf(ref.deployment, ref.replica) + " generation " +
                                             std::to_string(ref.generation.value) +
                                             " is not the current one"};
}

}  // namespace

std::optional<Refusal> checkReplicaCommand(const State& state, const ReplicaPlaced& body) {
  if (auto refusal = checkWanted(state, body.deployment, body.replica)) return refusal;
  const DeploymentState& deployment = state.deployments.at(body.deployment);
  if (body.generation != deployment.nextGeneration) {
    return Refusal{RefusalCode::INVALID_VALUE,
                   nameOf(body.deployment, body.replica) + ": generation " +
                       std::to_string(body.generation.value) + ", the next one is " +
                       std::to_string(deployment.nextGeneration.value)};
  }
  if (body.revision < deployment.templateRevision || body.revision > deployment.revision) {
    return Refusal{RefusalCode::REVISION_CONFLICT,
                   nameOf(body.deployment, body.replica) + ": planned for revision " +
                       std::to_string(body.revision.value) + ", wanted is " +
                       std::to_string(deployment.revision.value)};
  }
  ProcessShare share = processShare(deployment.spec.engine.kind);
  if (auto refusal = checkGang(body, share)) return refusal;
  bool follows = deployment.replicas.at(body.replica).current.has_value();
  return follows ? checkAdvance(state, body) : checkPlacement(state, body.placement);
}

std::optional<Refusal> checkReplicaCommand(const State& state, const ReplicaWaiting& body) {
  return checkUnplaced(state, body.deployment, body.replica);
}

std::optional<Refusal> checkReplicaCommand(const State& state, const ReplicaRetired& body) {
  return checkCurrent(state, {body.deployment, body.replica, body.generation});
}

std::optional<Refusal> checkReplicaCommand(const State& state, const RankProgressed& body) {
  GenerationRef ref = generationOf(body.rank);
  if (auto refusal = checkCurrent(state, ref)) return refusal;
  const PlacedGeneration& generation = *state.findCurrent(ref);
  if (body.rank.rank.value < generation.ranks.size()) return std::nullopt;
  return Refusal{RefusalCode::NOT_FOUND, nameOf(ref.deployment, ref.replica) + " has no rank " +
                                             std::to_string(body.rank.rank.value)};
}

std::optional<Refusal> checkReplicaCommand(const State& state, const RanksReleased& body) {
  if (body.ranks.empty()) return Refusal{RefusalCode::INVALID_VALUE, "no rank is released"};
  for (const RankRef& rank : body.ranks) {
    auto retired = state.retired.find(generationOf(rank));
    bool held = retired != state.retired.end() && retired->second.ranks.contains(rank.rank) &&
                retired->second.ranks.at(rank.rank).node == body.node;
    if (held) continue;
    return Refusal{RefusalCode::NOT_FOUND, nameOf(rank.deployment, rank.replica) + " generation " +
                                               std::to_string(rank.generation.value) + " rank " +
                                               std::to_string(rank.rank.value) +
                                               " holds nothing on node " + body.node.value};
  }
  return std::nullopt;
}

}  // namespace muster::coordinator

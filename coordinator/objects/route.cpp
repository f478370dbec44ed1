#include "coordinator/objects/route.h"

#include "coordinator/objects/standing.h"
#include "protocol/endpoint_note.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

bool isReachable(const State& state, const PlacedGeneration& generation) {
  return std::ranges::all_of(generation.placement.ranks, [&](const RankPlacement& rank) {
    const NodeState* node = state.findNode(rank.node);
    return node != nullptr && node->reachability == NodePhase::READY;
  });
}

std::string_view stateOf(const State& state, const ReplicaState& replica) {
  bool cutOff = replica.current && replica.phase == ReplicaPhase::READY &&
                !isReachable(state, *replica.current);
  return cutOff ? toText(NodePhase::UNREACHABLE) : toText(replica.phase);
}

std::string addressOf(const RankState& rank) {
  bool isReady = rank.phase == ReplicaPhase::READY;
  return isReady ? std::string(endpointOf(rank.message)) : std::string();
}

// What a replica can carry, as far as its devices say.
uint64_t weightOf(const ReplicaState& replica) {
  uint64_t devices = 0;
  if (replica.current) {
    for (const auto& rank : replica.current->placement.ranks) devices += rank.devices.size();
  }
  return std::max<uint64_t>(devices, 1);
}

}  // namespace

std::string routeId(const DeploymentState& deployment, ReplicaNumber number) {
  return deployment.spec.tenant.value + "/" + deployment.spec.name.value + "/" +
         std::to_string(number.value);
}

Json routeObject(const State& state, const DeploymentState& deployment, ReplicaNumber number,
                 const ReplicaState& replica) {
  const auto& current = replica.current;
  bool hasRanks = current && !current->ranks.empty();
  const auto& balance = deployment.spec.balance;
  Standing standing = standingOf({state, nullptr, state.clusterTime}, deployment, number, replica);
  return {{"kind", "route"},
          {"tenant", deployment.spec.tenant.value},
          {"deployment", deployment.spec.name.value},
          {"model", referenceTo(deployment)},
          {"aliases", deployment.spec.model.aliases},
          {"balance", balance ? Json(toText(*balance)) : Json()},
          {"replica", number.value},
          {"generation", current ? current->generation.value : 0},
          {"node", hasRanks ? current->placement.ranks.front().node.value : std::string()},
          {"address", hasRanks ? addressOf(current->ranks.front()) : std::string()},
          {"weight", weightOf(replica)},
          {"state", stateOf(state, replica)},
          {"message", replica.message},
          {"progress", standing.progress ? Json(*standing.progress) : Json()}};
}

}  // namespace muster::coordinator

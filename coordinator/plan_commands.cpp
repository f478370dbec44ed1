#include "coordinator/plan_commands.h"

#include "coordinator/core/assignment.h"
#include "protocol/engine_preset.h"
#include "protocol/launch.h"

namespace muster::coordinator {
namespace {

constexpr std::string_view FILE_SCHEME = "file:";

std::string addressOf(const State& state, const NodeName& name) {
  const NodeState* node = state.findNode(name);
  return node == nullptr ? name.value : node->info.address;
}

std::string pathOf(const std::string& source) {
  return source.starts_with(FILE_SCHEME) ? source.substr(FILE_SCHEME.size()) : "";
}

// The port is chosen by who says where the group meets.
std::string meetingText(const State& state, RankNumber rank, const PlacedGeneration& generation) {
  const auto& ranks = generation.placement.ranks;
  auto pointOf = [&](const RankPlacement& teller) {
    return addressOf(state, teller.node) + ":$PORT_OF_RANK_" + std::to_string(teller.rank.value);
  };
  if (meetingOf(generation.spec.engine.kind) == Meeting::HEAD) return pointOf(ranks.front());
  if (rank.value != 0) return pointOf(ranks[rank.value]);
  std::string all;
  for (size_t i = 1; i < ranks.size(); ++i) all += (i == 1 ? "" : ",") + pointOf(ranks[i]);
  return all;
}

DeviceKind kindOnNode(const State& state, const RankPlacement& rank) {
  const NodeState* node = state.findNode(rank.node);
  return node == nullptr ? DeviceKind::CPU : kindOf(node->info.devices, rank.devices);
}

Json commandRow(const State& state, const RankRef& ref, const PlacedGeneration& generation) {
  const auto& ranks = generation.placement.ranks;
  const NodeName& node = ranks[ref.rank.value].node;
  Launch launch = launchOf(assignmentOf(ref, generation),
                           {.address = addressOf(state, node),
                            .port = "$MUSTER_PORT",
                            .modelPath = pathOf(generation.spec.model.source),
                            .rendezvous = meetingText(state, ref.rank, generation),
                            .devices = kindOnNode(state, ranks[ref.rank.value])});
  return {{"replica", ref.replica.value},
          {"rank", ref.rank.value},
          {"node", node.value},
          {"argv", launch.argv},
          {"env", launch.env}};
}

}  // namespace

Json commandsOf(const State& state, const DeploymentState& deployment) {
  if (!isProcess(deployment.spec.engine.kind)) return nullptr;
  Json rows = Json::array();
  for (const auto& [number, replica] : deployment.replicas) {
    if (!replica.current) continue;
    for (const auto& rank : replica.current->placement.ranks) {
      RankRef ref{deployment.uid, number, replica.current->generation, rank.rank};
      rows.push_back(commandRow(state, ref, *replica.current));
    }
  }
  return rows;
}

}  // namespace muster::coordinator

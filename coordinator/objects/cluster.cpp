#include "coordinator/objects/cluster.h"

#include "coordinator/objects/node.h"

namespace muster::coordinator {
namespace {

Json countNodes(const State& state) {
  std::map<NodePhase, uint64_t> counts;
  for (const auto& [name, node] : state.nodes) counts[node.phase()]++;
  return {{"total", state.nodes.size()},
          {"ready", counts[NodePhase::READY]},
          {"unreachable", counts[NodePhase::UNREACHABLE]},
          {"lost", counts[NodePhase::LOST]},
          {"cordoned", counts[NodePhase::CORDONED]},
          {"draining", counts[NodePhase::DRAINING]},
          {"drained", counts[NodePhase::DRAINED]}};
}

Json idsOf(const std::vector<CoordinatorId>& coordinators) {
  Json ids = Json::array();
  for (const auto& id : coordinators) ids.push_back(id.value);
  return ids;
}

Json coordinatorObject(const CoordinatorView& one) {
  Json alarms = Json::array();
  for (const auto& [name, text] : one.alarms) alarms.push_back({{"name", name}, {"text", text}});
  return {{"id", one.id.value},
          {"stage", one.stage},
          {"applied_index", one.appliedIndex.value},
          {"state_hash", one.stateHash ? Json(toText(*one.stateHash)) : Json()},
          {"fenced_attempts", one.fencedAttempts},
          {"wrong_guesses", one.wrongGuesses},
          {"schema_level_max", one.reachable ? Json(one.schemaLevelMax) : Json()},
          {"address", one.address},
          {"reachable", one.reachable},
          {"alarms", std::move(alarms)}};
}

}  // namespace

std::string historyText(const HistoryId& history) {
  return std::to_string(history.number) + "-" + toText(history.guid);
}

Json clusterObject(const ObjectView& view, const ClusterFacts& facts) {
  GpuCount gpus = countGpus(view.state);
  return {{"version", 1},
          {"kind", "cluster"},
          {"cluster", facts.cluster.value},
          {"history", historyText(facts.history)},
          {"epoch", facts.epoch.value},
          {"leader", {{"id", facts.leader.value}}},
          {"revision", view.state.applied.value},
          {"coordinators", idsOf(facts.coordinators)},
          {"nodes", countNodes(view.state)},
          {"gpus", {{"total", gpus.total}, {"busy", gpus.busy}, {"free", gpus.free}}}};
}

Json statusObject(const ClusterFacts& facts, const std::vector<CoordinatorView>& coordinators,
                  WallTime now) {
  Json rows = Json::array();
  uint64_t wrongGuesses = 0;  // of those that could be asked
  for (const auto& one : coordinators) {
    rows.push_back(coordinatorObject(one));
    wrongGuesses += one.wrongGuesses;
  }
  return {{"version", 1},
          {"cluster", facts.cluster.value},
          {"history", historyText(facts.history)},
          {"epoch", facts.epoch.value},
          {"leader", {{"id", facts.leader.value}, {"address", facts.leaderAddress}}},
          {"schema_level", facts.schemaLevel},
          {"time", toRfc3339(now)},
          {"coordinators", std::move(rows)},
          {"wrong_guesses", wrongGuesses}};
}

}  // namespace muster::coordinator

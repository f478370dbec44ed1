#include "coordinator/core/check.h"

#include <set>
#include <string_view>

namespace muster::coordinator {
namespace {

std::optional<Refusal> checkLeader(const State& state, const LeaderStarted& body) {
  if (body.epoch > state.epoch) return std::nullopt;
  return Refusal{RefusalCode::NOT_LEADER, "epoch " + std::to_string(body.epoch.value) +
                                              " does not follow epoch " +
                                              std::to_string(state.epoch.value)};
}

std::optional<Refusal> checkModel(const ModelRecorded& body) {
  const ModelManifest& manifest = body.manifest;
  if (manifest.source.empty() || manifest.digest.empty()) {
    return Refusal{RefusalCode::INVALID_VALUE,
                   "a model's manifest names its source and its digest"};
  }
  std::set<std::string_view> files;
  for (const auto& file : manifest.files) files.insert(file.name);
  for (const auto& tensor : manifest.tensors) {
    if (files.contains(tensor.file)) continue;
    return Refusal{RefusalCode::MODEL_FILE_CORRUPT, "tensor " + tensor.name + " of " +
                                                        manifest.source + " is in " + tensor.file +
                                                        ", which the model does not have"};
  }
  return std::nullopt;
}

std::optional<Refusal> checkLevel(const State& state, const SchemaLevelRaised& body) {
  if (body.level > state.schemaLevel) return std::nullopt;
  return Refusal{RefusalCode::INVALID_VALUE, "schema level " + std::to_string(body.level) +
                                                 " is not above " +
                                                 std::to_string(state.schemaLevel)};
}

struct Checker {
  const State& state;

  std::optional<Refusal> operator()(const LeaderStarted& body) { return checkLeader(state, body); }
  std::optional<Refusal> operator()(const ModelRecorded& body) { return checkModel(body); }
  std::optional<Refusal> operator()(const SchemaLevelRaised& body) {
    return checkLevel(state, body);
  }
  std::optional<Refusal> operator()(const NodeRegistered& body) {
    return checkNodeCommand(state, body);
  }
  std::optional<Refusal> operator()(const NodePhaseChanged& body) {
    return checkNodeCommand(state, body);
  }
  std::optional<Refusal> operator()(const NodeCordoned& body) {
    return checkNodeNamed(state, body.node);
  }
  std::optional<Refusal> operator()(const NodeUncordoned& body) {
    return checkNodeNamed(state, body.node);
  }
  std::optional<Refusal> operator()(const NodeDrainStarted& body) {
    return checkNodeNamed(state, body.node);
  }
  std::optional<Refusal> operator()(const NodeDrained& body) {
    return checkNodeCommand(state, body);
  }
  std::optional<Refusal> operator()(const DeploymentApplied& body) {
    return checkDeploymentCommand(state, body);
  }
  std::optional<Refusal> operator()(const DeploymentScaled& body) {
    return checkDeploymentCommand(state, body);
  }
  std::optional<Refusal> operator()(const DeploymentDeleted& body) {
    return checkDeploymentCommand(state, body);
  }
  std::optional<Refusal> operator()(const ReplicaPlaced& body) {
    return checkReplicaCommand(state, body);
  }
  std::optional<Refusal> operator()(const ReplicaWaiting& body) {
    return checkReplicaCommand(state, body);
  }
  std::optional<Refusal> operator()(const ReplicaRetired& body) {
    return checkReplicaCommand(state, body);
  }
  std::optional<Refusal> operator()(const RankProgressed& body) {
    return checkReplicaCommand(state, body);
  }
  std::optional<Refusal> operator()(const RanksReleased& body) {
    return checkReplicaCommand(state, body);
  }
};

}  // namespace

std::optional<Refusal> check(const State& state, const CommandBody& body) {
  return std::visit(Checker{state}, body);
}

}  // namespace muster::coordinator

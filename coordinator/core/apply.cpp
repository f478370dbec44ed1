#include "coordinator/core/apply_topics.h"
#include "coordinator/core/check.h"
#include "coordinator/core/core.h"

namespace muster::coordinator {
namespace {

// A request that has an outcome already took effect, or was rejected, at its first command.
std::optional<Refusal> checkOnce(const State& state, const Command& command) {
  if (command.request.guid.isNull()) return std::nullopt;
  const Outcome* outcome = state.findOutcome(command.request);
  if (!outcome) return std::nullopt;
  return Refusal{RefusalCode::OUTCOME_UNKNOWN, "request " + toText(command.request.guid) +
                                                   " was carried out at index " +
                                                   std::to_string(outcome->index.value)};
}

}  // namespace

Applied apply(State& state, LogIndex index, const Command& command) {
  Change change(state, index, command);
  auto refusal = checkOnce(state, command);
  if (!refusal) refusal = check(state, command.body);
  if (!refusal) std::visit([&](const auto& body) { applyBody(change, body); }, command.body);
  return change.finish(std::move(refusal));
}

void noteOrders(Change& change, const Placement& placement) {
  for (const auto& rank : placement.ranks) {
    auto node = change.state.nodes.find(rank.node);
    if (node == change.state.nodes.end() || node->second.orderIndex == change.index) continue;
    node->second.orderIndex = change.index;
    change.touch(rank.node);
  }
}

void noteCapacity(Change& change) { change.state.capacityIndex = change.index; }

void applyBody(Change& change, const LeaderStarted& body) {
  State& state = change.state;
  std::string message = body.leader.value + " leads epoch " + std::to_string(body.epoch.value);
  if (!body.reason.empty()) message += ": " + body.reason;
  state.epoch = body.epoch;
  state.leader = body.leader;
  state.leaderIncarnation = body.incarnation;
  change.addEvent(Severity::INFO, "LeaderStarted", "cluster", "", message);
}

void applyBody(Change& change, const SchemaLevelRaised& body) {
  std::string members;
  for (const auto& id : body.understoodBy) members += (members.empty() ? "" : ", ") + id.value;
  change.addEvent(Severity::INFO, "SchemaLevelRaised", "cluster", "",
                  "from " + std::to_string(change.state.schemaLevel) + " to " +
                      std::to_string(body.level) + ", understood by " + members +
                      "; versions that do not understand it cannot be started any more");
  change.state.schemaLevel = body.level;
}

void applyBody(Change& change, const ModelRecorded& body) {
  const ModelManifest& manifest = body.manifest;
  change.state.models[manifest.source] = manifest;
  change.touch(ModelKey{manifest.source});
  noteCapacity(change);  // what waits may fit the model as it is now
  change.addEvent(Severity::INFO, "ModelRecorded", manifest.source, "",
                  "inspected by " + manifest.inspectedBy.value + ": " +
                      std::to_string(manifest.tensors.size()) + " tensors in " +
                      std::to_string(manifest.files.size()) + " files");
  change.setAnswer("{\"digest\":\"" + manifest.digest + "\"}");
}

}  // namespace muster::coordinator

#include "coordinator/core/change.h"

#include "base/planted_bug.h"
#include "coordinator/core/time_math.h"

#include <algorithm>

namespace muster::coordinator {

Change::Change(State& state, LogIndex index, const Command& command)
    : state(state),
      command(command),
      index(index),
      now(std::max(state.clusterTime, command.decidedAt)),
      wall(command.decidedWall) {}

void Change::touchGeneration(const GenerationRef& ref, size_t ranks) {
  touch(ref);
  for (uint32_t rank = 0; rank < ranks; ++rank) {
    touch(RankRef{ref.deployment, ref.replica, ref.generation, {rank}});
  }
}

void Change::addEvent(Severity severity, std::string type, std::string object, std::string tenant,
                      std::string message) {
  events_.push_back({.index = index,
                     .ordinal = static_cast<uint32_t>(events_.size()),
                     .at = now,
                     .wall = wall,
                     .severity = severity,
                     .type = std::move(type),
                     .object = std::move(object),
                     .tenant = std::move(tenant),
                     .message = std::move(message),
                     .principal = command.principal});
}

Applied Change::finish(std::optional<Refusal> rejected) {
  state.applied = index;
  state.clusterTime = now;
  keepOutcome(rejected);
  forgetOutcomes();
  touch(MetaKey{});
  Applied applied{.events = std::move(events_), .writes = {}, .rejected = std::move(rejected)};
  for (const auto& key : touched_) {
    RecordWrite write{toText(key), encodeRecord(state, key)};
    if (updateHash(state, write.key, write.value)) applied.writes.push_back(std::move(write));
  }
  std::ranges::sort(applied.writes, {}, &RecordWrite::key);
  return applied;
}

// The first outcome of an id stays: a second command of the same id has been rejected.
void Change::keepOutcome(const std::optional<Refusal>& rejected) {
  if (command.request.guid.isNull()) return;
  OutcomeKey key = outcomeKey(command.request);
  bool added = state.outcomes.try_emplace(key, Outcome{index, rejected, answer_}).second;
  if (added) touch(key);
}

void Change::forgetOutcomes() {
  while (!state.outcomes.empty()) {
    auto oldest = state.outcomes.begin();
    Duration kept = MUSTER_PLANTED_BUG(DOUBLE_APPLY) ? 1_s : OUTCOME_KEPT;
    if (elapsed(oldest->first.clusterTime, now) <= kept) return;
    touch(oldest->first);
    state.outcomes.erase(oldest);
  }
}

std::string replicaName(const DeploymentState& deployment, ReplicaNumber replica) {
  return deployment.spec.name.value + "/" + std::to_string(replica.value);
}

std::string nodeObject(const NodeName& node) { return "node " + node.value; }

std::string qualifiedName(const TenantName& tenant, const DeploymentName& name) {
  return tenant.value + "/" + name.value;
}

std::string rankName(const Placement& placement, RankNumber rank) {
  std::string text = "rank " + std::to_string(rank.value);
  if (rank.value >= placement.ranks.size()) return text;
  const RankPlacement& placed = placement.ranks[rank.value];
  text += " (" + placed.node.value;
  for (size_t i = 0; i < placed.devices.size(); ++i) {
    text += (i == 0 ? ":" : ",") + std::to_string(placed.devices[i].value);
  }
  return text + ")";
}

}  // namespace muster::coordinator

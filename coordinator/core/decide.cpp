#include "base/planted_bug.h"
#include "coordinator/core/check.h"
#include "coordinator/core/cluster_view.h"
#include "coordinator/core/core.h"
#include "coordinator/core/limits.h"
#include "coordinator/core/time_math.h"
#include "sharding/placer.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

std::optional<Refusal> checkAge(const RequestId& id, Instant now) {
  if (id.guid.isNull()) return std::nullopt;
  Duration age = elapsed(id.clusterTime, now);
  if (age > OUTCOME_KEPT) {
    return Refusal{RefusalCode::REQUEST_TOO_OLD, "request " + toText(id.guid) + " is " +
                                                     toAge(age) + " old, outcomes are kept " +
                                                     toAge(OUTCOME_KEPT)};
  }
  if (age < Duration{} - REQUEST_AHEAD_MAX) {
    return Refusal{RefusalCode::INVALID_VALUE, "request " + toText(id.guid) + " is stamped " +
                                                   toAge(elapsed(now, id.clusterTime)) +
                                                   " ahead of the cluster's time"};
  }
  return std::nullopt;
}

// Fields that only the leader may set.
CommandBody completed(const State& state, CommandBody body) {
  if (auto* applied = std::get_if<DeploymentApplied>(&body)) {
    bool isNew = !state.findDeployment(applied->spec.tenant, applied->spec.name);
    applied->uid = isNew ? state.nextUid : DeploymentUid{};
  }
  return body;
}

bool needsNoNewPlace(const State& state, const DeploymentSpec& spec) {
  const DeploymentState* known = state.findDeployment(spec.tenant, spec.name);
  return known ? haveSameRanks(known->spec, spec) : spec.replicas == 0;
}

// What can never fit is refused at once; what only has to wait is taken.
std::optional<Refusal> checkFits(const State& state, const DeploymentSpec& spec) {
  if (needsNoNewPlace(state, spec)) return std::nullopt;
  auto outcome = sharding::planReplica(spec, manifestOf(state, spec), clusterView(state), {});
  auto* refused = std::get_if<sharding::RefusedReplica>(&outcome);
  if (!refused || refused->refusal.code == RefusalCode::WAITING_FOR_CAPACITY) return std::nullopt;
  return refused->refusal;
}

}  // namespace

Result<Decision> decide(const State& state, const Request& request, Instant now, WallTime wallNow) {
  now = std::max(now, state.clusterTime);
  if (!request.id.guid.isNull() && !MUSTER_PLANTED_BUG(NO_OUTCOME_LOOKUP)) {
    if (const Outcome* earlier = state.findOutcome(request.id)) {
      return Decision{.command = std::nullopt, .earlier = *earlier};
    }
  }
  Instant judgedAt = now;
  if (MUSTER_PLANTED_BUG(WALL_CLOCK_EXPIRY) && !state.nodes.empty()) {
    const NodeState& node = state.nodes.begin()->second;
    judgedAt = node.since + Duration{(wallNow.unixMs - node.sinceWall.unixMs) * 1'000'000};
  }
  if (auto refusal = checkAge(request.id, judgedAt)) return *refusal;
  Command command{.schemaVersion = state.schemaLevel,
                  .principal = request.principal,
                  .request = request.id,
                  .decidedAt = now,
                  .decidedWall = wallNow,
                  .body = completed(state, request.body)};
  if (auto refusal = check(state, command.body)) return *refusal;
  if (const auto* applied = std::get_if<DeploymentApplied>(&command.body)) {
    if (auto refusal = checkFits(state, applied->spec)) return *refusal;
  }
  return Decision{.command = std::move(command), .earlier = std::nullopt};
}

}  // namespace muster::coordinator

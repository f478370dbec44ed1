#include "coordinator/api.h"

#include "base/kj_time.h"
#include "base/planted_bug.h"
#include "protocol/names.h"

namespace muster::coordinator {
namespace {

constexpr Duration CATCH_UP_DEADLINE = 2_s;

Refusal behind(const Coordinator& coordinator, LogIndex index) {
  return {RefusalCode::OVERLOADED, "coordinator " + coordinator.settings().id.value +
                                       " has not come to index " + std::to_string(index.value) +
                                       " yet, which this client has seen; ask again"};
}

}  // namespace

AnswerPromise refuseWhenProven(Driver& driver, Refusal refusal) {
  return driver.mayLeave(ReadMode::LINEARIZABLE)
      .then([refusal = kj::mv(refusal)]() mutable -> Result<Answer> { return kj::mv(refusal); });
}

kj::Promise<Result<Done>> awaitIndex(Coordinator& coordinator, LogIndex index) {
  using Come = Result<Done>;
  bool isThere = coordinator.facts().committedIndex >= index;
  if (MUSTER_PLANTED_BUG(VIEW_BY_EPOCH_ALONE)) isThere = coordinator.state().epoch.value > 0;
  if (isThere) return Come(Done{});
  auto come = coordinator.committedAfter({index.value - 1}).then([]() -> Come { return Done{}; });
  auto late = coordinator.environment().timer.afterDelay(toKj(CATCH_UP_DEADLINE));
  return come.exclusiveJoin(late.then(
      [refusal = behind(coordinator, index)]() mutable -> Come { return kj::mv(refusal); }));
}

Result<DeploymentTarget> parseDeploymentTarget(const std::string& text) {
  auto reference = parseReference(text);
  if (!reference) return reference.refusal();
  if (reference->replica) {
    return Refusal{RefusalCode::INVALID_NAME,
                   "\"" + text + "\" names a replica or a rank, a deployment is asked for"};
  }
  return DeploymentTarget{reference->tenant.value_or(TenantName{"default"}), reference->deployment};
}

}  // namespace muster::coordinator

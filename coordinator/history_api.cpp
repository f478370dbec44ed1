#include "coordinator/history_api.h"

#include "base/co.h"
#include "base/kj_time.h"
#include "coordinator/select.h"

namespace muster::coordinator {
namespace {

constexpr uint64_t LEADER_RECORDS_MAX = 20'000;  // about 30 ms of loading
constexpr Duration REPLAY_DEADLINE = 120_s;

Json pastObject(const PastState& past, const Json& items) {
  return {{"version", 1},
          {"kind", "history"},
          {"index", past.state->applied.value},
          {"time", past.wall.unixMs == 0 ? Json() : Json(toRfc3339(past.wall))},
          {"state_hash", toText(past.state->hash())},
          {"items", items}};
}

Co<Result<Answer>> answerCo(ApiContext& context, ApiCall call, PastPoint point,
                            PastSelection selection) {
  auto kind = kindNamed(selection.kind);
  if (!kind || *kind == "events" || *kind == "cluster") co_return unknownKind(selection.kind);
  auto come = co_await awaitIndex(context.coordinator, call.lastIndex);
  if (!come) co_return come.refusal();
  auto session = context.env().coordination.open();
  ReplayParts parts{*session, failover::Paths(context.coordinator.cluster()),
                    context.coordinator.leading() ? LEADER_RECORDS_MAX : UINT64_MAX};
  auto replayed = withDeadline(context.env().timer, REPLAY_DEADLINE, "E0708 replaying the log",
                               replayTo(kj::mv(parts), point));
  auto past = co_await kj::mv(replayed);
  session->close();
  if (!past) co_return past.refusal();
  ObjectView view{*past->state, nullptr, past->state->clusterTime};
  auto selected = selectObjects(view, *kind, selection.target);
  if (!selected) co_return selected.refusal();
  Json items = selected->at("items");
  Answer answer{toText(pastObject(*past, items)), past->state->applied};
  co_return answer;
}

}  // namespace

AnswerPromise answerHistory(ApiContext& context, ApiCall call, PastPoint point,
                            PastSelection selection) {
  return answerCo(context, kj::mv(call), point, kj::mv(selection));
}

}  // namespace muster::coordinator

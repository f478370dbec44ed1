#include "coordinator/api_reads.h"

#include "base/co.h"
#include "base/kj_time.h"
#include "coordinator/cluster_facts.h"
#include "coordinator/objects/event.h"
#include "coordinator/objects/why.h"
#include "coordinator/select.h"

namespace muster::coordinator {
namespace {

constexpr Duration WAIT_MAX = 60_s;
constexpr size_t EVENTS_READ_MAX = 20'000;  // of the store, newest, before the filter
constexpr size_t EVENTS_SHOWN_MAX = 1'000;

// Waits for something newer, as the caller wished; whether it came does not matter.
kj::Promise<void> awaitNews(ApiContext& context, ReadCall how) {
  bool waits = how.afterIndex.value != 0 && how.wait > Duration{};
  if (!waits) return kj::READY_NOW;
  Duration wait = std::min(how.wait, WAIT_MAX);
  return context.coordinator.committedAfter(how.afterIndex)
      .exclusiveJoin(context.env().timer.afterDelay(toKj(wait)));
}

Result<std::string> textOf(Result<Json> object) {
  if (!object) return object.refusal();
  return toText(*object);
}

Result<Answer> answerOf(Result<std::string> text, LogIndex index) {
  if (!text) return text.refusal();
  return Answer{std::move(*text), index};
}

// Only a leader's own states are told apart by epoch and index; others make their answers anew.
Result<std::string> keptText(AnswerCache& answers, const ObjectView& view, const std::string& kind,
                             const std::string& target) {
  auto make = [&] { return textOf(selectObjects(view, kind, target)); };
  if (view.observed == nullptr) return make();
  const State& state = view.state;
  return answers.get(kind + " " + target, {state.history, state.epoch, state.applied, view.now},
                     make);
}

// A "no" from a state that may be old says so.
Refusal markedStale(Refusal refusal, LogIndex index, Duration age) {
  std::string known = age >= AGE_UNKNOWN ? "nobody knows how old"
                      : age < 1_s        ? "known to be the newest a moment ago"
                                         : "known to be the newest " + toAge(age) + " ago";
  refusal.text += " (stale: as of log index " + std::to_string(index.value) + ", " + known + ")";
  return refusal;
}

Refusal rebuildingRefusal(const Coordinator& coordinator) {
  return {RefusalCode::OVERLOADED, "coordinator " + coordinator.settings().id.value +
                                       " is making its state anew from the log; ask another one"};
}

AnswerPromise readStale(ApiContext& context, const ReadText& read) {
  Coordinator& coordinator = context.coordinator;
  if (coordinator.facts().rebuilding) return Result<Answer>(rebuildingRefusal(coordinator));
  const State& state = coordinator.state();
  Duration age = coordinator.age();
  auto answer =
      answerOf(read({state, coordinator.observed(), coordinator.clusterNow()}), state.applied);
  if (answer) {
    answer->stale = true;
    answer->age = age;
  } else {
    answer = markedStale(answer.refusal(), state.applied, age);
  }
  if (state.applied == coordinator.facts().committedIndex) return answer;
  // On a leader this memory runs ahead of the log. While nothing commits, others can answer.
  auto away = coordinator.whenCutOff().then(
      [&coordinator]() -> Result<Answer> { return coordinator.notLeader(); });
  return coordinator.stateMayLeave()
      .then([answer = kj::mv(answer)]() mutable { return kj::mv(answer); })
      .exclusiveJoin(kj::mv(away));
}

AnswerPromise readNewest(ApiContext& context, const ReadText& read) {
  Coordinator& coordinator = context.coordinator;
  KJ_IF_MAYBE (driver, coordinator.driver()) {
    const State& state = driver->state();
    auto answer =
        answerOf(read({state, coordinator.observed(), coordinator.clusterNow()}), state.applied);
    return driver->mayLeave(ReadMode::LINEARIZABLE).then([answer = kj::mv(answer)]() mutable {
      return kj::mv(answer);
    });
  }
  return Result<Answer>(coordinator.notLeader());
}

std::optional<Refusal> cannotRead(const Coordinator& coordinator, ReadCall how) {
  if (!how.stale && !coordinator.leading()) return coordinator.notLeader();
  if (coordinator.hasState()) return std::nullopt;
  return Refusal{RefusalCode::NO_LEADER, "coordinator " + coordinator.id().value +
                                             " has just started and knows nothing yet; ask again"};
}

Co<Result<Answer>> readCo(ApiContext& context, ApiCall call, ReadCall how, ReadText read) {
  if (auto refusal = cannotRead(context.coordinator, how)) co_return *refusal;
  auto come = co_await awaitIndex(context.coordinator, call.lastIndex);
  if (!come) co_return come.refusal();
  co_await awaitNews(context, how);
  if (how.stale) co_return co_await readStale(context, read);
  co_return co_await readNewest(context, read);
}

Json eventsObject(const StateStore& store, const std::vector<Event>& events,
                  const std::string& target) {
  Json items = Json::array();
  std::vector<const Event*> wanted;
  for (const Event& event : events) {
    if (isAbout(event, target)) wanted.push_back(&event);
  }
  size_t first = wanted.size() > EVENTS_SHOWN_MAX ? wanted.size() - EVENTS_SHOWN_MAX : 0;
  for (size_t i = first; i < wanted.size(); ++i) items.push_back(eventObject(*wanted[i]));
  Json object = listOf(std::move(items));
  auto meta = store.meta();
  if (meta) object["history_from"] = meta->historyFrom.value;
  return object;
}

// The store holds committed events only, so what is read of it rests on its own index.
Co<Result<Answer>> eventsCo(ApiContext& context, ApiCall call, std::string target, ReadCall how) {
  Coordinator& coordinator = context.coordinator;
  if (auto refusal = cannotRead(coordinator, how)) co_return *refusal;
  auto come = co_await awaitIndex(coordinator, call.lastIndex);
  if (!come) co_return come.refusal();
  co_await awaitNews(context, how);
  if (!how.stale) {
    kj::Maybe<kj::Promise<void>> proven;
    KJ_IF_MAYBE (driver, coordinator.driver()) proven = driver->mayLeave(ReadMode::LINEARIZABLE);
    KJ_IF_MAYBE (promise, proven) {
      co_await kj::mv(*promise);
    } else {
      co_return coordinator.notLeader();
    }
  }
  const StateStore& store = coordinator.environment().store;
  auto events = store.events(how.afterIndex, EVENTS_READ_MAX);
  Answer answer{toText(eventsObject(store, events, target)), coordinator.facts().committedIndex};
  answer.stale = how.stale;
  if (how.stale) answer.age = coordinator.age();
  co_return answer;
}

}  // namespace

AnswerPromise readObject(ApiContext& context, ApiCall call, ReadCall how, ReadObject read) {
  return readText(context, kj::mv(call), how,
                  [read = kj::mv(read)](const ObjectView& view) { return textOf(read(view)); });
}

AnswerPromise readText(ApiContext& context, ApiCall call, ReadCall how, ReadText read) {
  return readCo(context, kj::mv(call), how, kj::mv(read));
}

AnswerPromise ApiReads::get(ApiCall call, std::string word, std::string target, ReadCall how) {
  auto kind = kindNamed(word);
  if (!kind) return Result<Answer>(unknownKind(word));
  if (*kind == "events") return eventsCo(context_, kj::mv(call), kj::mv(target), how);
  if (*kind == "cluster") {
    return readObject(context_, kj::mv(call), how, [this](const ObjectView& view) -> Result<Json> {
      return clusterObject(view, clusterFacts(context_));
    });
  }
  return readText(context_, kj::mv(call), how,
                  [this, kind = kj::mv(*kind), target = kj::mv(target)](const ObjectView& view) {
                    return keptText(context_.answers, view, kind, target);
                  });
}

AnswerPromise ApiReads::why(ApiCall call, std::string deployment, ReadCall how) {
  auto target = parseDeploymentTarget(deployment);
  if (!target) return Result<Answer>(target.refusal());
  return readObject(context_, kj::mv(call), how,
                    [target = *target](const ObjectView& view) -> Result<Json> {
                      auto found = findTarget(view.state, target.tenant, target.name);
                      if (!found) return found.refusal();
                      return whyObject(view, **found);
                    });
}

}  // namespace muster::coordinator

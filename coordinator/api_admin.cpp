#include "coordinator/api_admin.h"

#include "base/co.h"
#include "base/kj_time.h"
#include "coordinator/cluster_facts.h"
#include "coordinator/peer_views.h"

namespace muster::coordinator {
namespace {

constexpr Duration NEW_LEADER_DEADLINE = 2_s;
constexpr Duration NEW_LEADER_LOOK = 20_ms;

kj::Promise<CoordinatorView> ask(ApiContext& context, const PeerAddress& peer) {
  if (peer.id == context.coordinator.id()) return ownView(context);
  return askPeer(context.env(), peer);
}

// Whether this coordinator was proven to lead, and to have what the client has seen, after the
// question came. Nobody waits for that longer than for a peer: status is for bad times.
kj::Promise<bool> proveNewest(ApiContext& context, LogIndex lastIndex) {
  kj::Maybe<kj::Promise<void>> proof;
  KJ_IF_MAYBE (driver, context.coordinator.driver()) {
    proof = driver->mayLeave(ReadMode::LINEARIZABLE);
  }
  KJ_IF_MAYBE (proven, proof) {
    auto caughtUp = awaitIndex(context.coordinator, lastIndex);
    auto newest = proven->then([caughtUp = kj::mv(caughtUp)]() mutable {
      return caughtUp.then([](Result<Done> come) { return come.ok(); });
    });
    auto late = context.env().timer.afterDelay(toKj(PEER_DEADLINE)).then([] { return false; });
    return newest.exclusiveJoin(kj::mv(late)).catch_([](kj::Exception&&) { return false; });
  }
  return false;
}

Co<Result<Answer>> statusCo(ApiContext& context, ApiCall call) {
  auto proof = proveNewest(context, call.lastIndex).fork();
  auto asked = kj::heapArrayBuilder<kj::Promise<CoordinatorView>>(context.peers.size());
  for (const PeerAddress& peer : context.peers) asked.add(ask(context, peer));
  auto answers = co_await kj::joinPromises(asked.finish());
  bool newest = co_await proof.addBranch();
  std::vector<CoordinatorView> views(answers.begin(), answers.end());
  if (views.empty()) views.push_back(ownView(context));
  Json object = statusObject(clusterFacts(context), views, context.env().clock.wallNow());
  Answer answer{toText(object), context.coordinator.facts().committedIndex};
  answer.stale = !newest;
  answer.age = context.coordinator.age();
  co_return answer;
}

CoordinatorId leaderOf(const Coordinator& coordinator) {
  return coordinator.view() ? coordinator.view()->leader : CoordinatorId{};
}

// That nobody stands in line, say, was read from a server that may be behind.
AnswerPromise proven(Coordinator& coordinator, Refusal refusal) {
  KJ_IF_MAYBE (driver, coordinator.driver()) return refuseWhenProven(*driver, kj::mv(refusal));
  return Result<Answer>(kj::mv(refusal));
}

Co<Result<Answer>> stepDownCo(ApiContext& context, CoordinatorId successor) {
  Coordinator& coordinator = context.coordinator;
  LogIndex index = coordinator.facts().committedIndex;
  auto done = co_await coordinator.stepDown(successor);
  if (!done) co_return co_await proven(coordinator, done.refusal());
  // Who it is shows in `epoch`, which has changed by now; our own watch of it may be a little late.
  for (Duration waited; waited < NEW_LEADER_DEADLINE; waited = waited + NEW_LEADER_LOOK) {
    if (leaderOf(coordinator) != coordinator.id()) break;
    co_await context.env().timer.afterDelay(toKj(NEW_LEADER_LOOK));
  }
  CoordinatorId to = leaderOf(coordinator);
  if (to == coordinator.id()) to = successor;
  Json object = {
      {"version", 1}, {"kind", "stepped_down"}, {"from", coordinator.id().value}, {"to", to.value}};
  co_return Answer(toText(object), index);
}

}  // namespace

AnswerPromise ApiAdmin::status(ApiCall call) { return statusCo(context_, kj::mv(call)); }

AnswerPromise ApiAdmin::stepDown(ApiCall, CoordinatorId successor) {
  return stepDownCo(context_, kj::mv(successor));
}

}  // namespace muster::coordinator

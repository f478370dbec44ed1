#include "coordinator/api_admin.h"

#include "base/co.h"
#include "base/kj_time.h"
#include "coordinator/cluster_facts.h"
#include "protocol/codec.h"

namespace muster::coordinator {
namespace {

constexpr Duration NEW_LEADER_DEADLINE = 2_s;
constexpr Duration NEW_LEADER_LOOK = 20_ms;

CoordinatorView unreachable(const PeerAddress& peer) {
  CoordinatorView view;
  view.id = peer.id;
  view.address = peer.address;
  return view;
}

CoordinatorView viewOf(const PeerAddress& peer, schema::ServerInfo::Reader info) {
  CoordinatorView view = unreachable(peer);
  view.reachable = true;
  view.stage = std::string(toText(static_cast<Stage>(std::min<uint8_t>(info.getStage(), 3))));
  view.appliedIndex = {info.getAppliedIndex()};
  if (info.getStateHashIndex() == info.getAppliedIndex() && info.hasStateHash()) {
    view.stateHash = decode(info.getStateHash());
  }
  view.fencedAttempts = info.getFencedAttempts();
  view.wrongGuesses = info.getWrongGuesses();
  return view;
}

Co<CoordinatorView> askCo(ApiContext& context, PeerAddress peer) {
  auto connection = co_await connectRpc(context.env().transport, context.env().timer, peer.address,
                                        Role::COORDINATOR);
  auto gate = connection->bootstrap<schema::Gate>();
  auto response = co_await gate.helloRequest().send();
  co_return viewOf(peer, response.getInfo());
}

kj::Promise<CoordinatorView> ask(ApiContext& context, const PeerAddress& peer) {
  if (peer.id == context.coordinator.id()) return ownView(context);
  return withDeadline(context.env().timer, PEER_DEADLINE, "asking " + peer.id.value,
                      askCo(context, peer).asPromise())
      .catch_([peer](kj::Exception&&) { return unreachable(peer); });
}

Co<Result<Answer>> statusCo(ApiContext& context) {
  auto asked = kj::heapArrayBuilder<kj::Promise<CoordinatorView>>(context.peers.size());
  for (const PeerAddress& peer : context.peers) asked.add(ask(context, peer));
  auto answers = co_await kj::joinPromises(asked.finish());
  std::vector<CoordinatorView> views(answers.begin(), answers.end());
  if (views.empty()) views.push_back(ownView(context));
  Json object = statusObject(clusterFacts(context), views);
  Answer answer{toText(object), context.coordinator.facts().committedIndex};
  answer.stale = !context.coordinator.leading();
  answer.age = context.coordinator.age();
  co_return answer;
}

CoordinatorId leaderOf(const Coordinator& coordinator) {
  return coordinator.view() ? coordinator.view()->leader : CoordinatorId{};
}

Co<Result<Answer>> stepDownCo(ApiContext& context, CoordinatorId successor) {
  Coordinator& coordinator = context.coordinator;
  LogIndex index = coordinator.facts().committedIndex;
  auto done = co_await coordinator.stepDown(successor);
  if (!done) co_return done.refusal();
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

AnswerPromise ApiAdmin::status(ApiCall) { return statusCo(context_); }

AnswerPromise ApiAdmin::stepDown(ApiCall, CoordinatorId successor) {
  return stepDownCo(context_, kj::mv(successor));
}

}  // namespace muster::coordinator

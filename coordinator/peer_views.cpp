#include "coordinator/peer_views.h"

#include "base/co.h"
#include "base/kj_time.h"
#include "base/rpc.h"
#include "coordinator/coordinator_facts.h"
#include "protocol/codec.h"
#include "protocol/coordinator.capnp.h"
#include "protocol/schema_level.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

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
  for (auto alarm : info.getAlarms()) {
    view.alarms.emplace_back(alarm.getName().cStr(), alarm.getText().cStr());
  }
  view.schemaLevelMax = std::max(info.getSchemaLevelMax(), SCHEMA_LEVEL_FIRST);
  return view;
}

Co<CoordinatorView> askCo(const CoordinatorEnvironment& environment, PeerAddress peer) {
  auto connection = co_await connectRpc(environment.transport, environment.timer, peer.address,
                                        Role::COORDINATOR);
  auto gate = connection->bootstrap<schema::Gate>();
  auto response = co_await gate.helloRequest().send();
  co_return viewOf(peer, response.getInfo());
}

}  // namespace

kj::Promise<CoordinatorView> askPeer(const CoordinatorEnvironment& environment,
                                     const PeerAddress& peer) {
  return withDeadline(environment.timer, PEER_DEADLINE, "asking " + peer.id.value,
                      askCo(environment, peer).asPromise())
      .catch_([peer](kj::Exception&&) { return unreachable(peer); });
}

}  // namespace muster::coordinator

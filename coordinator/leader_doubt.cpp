#include "coordinator/leader_doubt.h"

#include "base/kj_time.h"
#include "coordinator/peer_views.h"
#include "failover/death_rules.h"

#include <kj/vector.h>

#include <algorithm>

namespace muster::coordinator {
namespace {

constexpr Duration ASK_EVERY = 5_s;

bool speaksAgainst(const CoordinatorView& peer, Epoch epoch) {
  return std::ranges::any_of(peer.alarms, [&](const auto& alarm) {
    const auto& [name, text] = alarm;
    return name == toText(AlarmKind::LEADER_DIVERGED) &&
           text.find(wordsAgainst(epoch)) != std::string::npos;
  });
}

}  // namespace

std::string wordsAgainst(Epoch leader) {
  return "the leader of epoch " + std::to_string(leader.value) + " had another state";
}

Co<void> LeaderDoubt::runCo() {
  for (;;) {
    co_await coordinator_.environment().timer.afterDelay(toKj(ASK_EVERY));
    if (!coordinator_.leading()) continue;
    Epoch epoch = coordinator_.token().epoch;
    size_t against = co_await countAgainst(epoch);
    bool isOutvoted = failover::isMajority(against, peers_.size());
    if (!isOutvoted || !coordinator_.leading() || coordinator_.token().epoch != epoch) continue;
    coordinator_.environment().logger.error(
        "a majority has replayed the log and has another state than this leader: it hands over",
        {{"epoch", epoch}, {"against", against}});
    CoordinatorId anybody;
    co_await coordinator_.stepDown(anybody).ignoreResult().catch_([](kj::Exception&&) {});
  }
}

kj::Promise<size_t> LeaderDoubt::countAgainst(Epoch epoch) {
  kj::Vector<kj::Promise<CoordinatorView>> asked;
  for (const PeerAddress& peer : peers_) {
    if (peer.id != coordinator_.id()) asked.add(askPeer(coordinator_.environment(), peer));
  }
  return kj::joinPromises(asked.releaseAsArray()).then([epoch](kj::Array<CoordinatorView> peers) {
    return static_cast<size_t>(std::count_if(
        peers.begin(), peers.end(), [&](const auto& peer) { return speaksAgainst(peer, epoch); }));
  });
}

}  // namespace muster::coordinator

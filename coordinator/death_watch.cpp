#include "coordinator/death_watch.h"

#include "base/kj_time.h"
#include "base/planted_bug.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

constexpr Duration LOOK_INTERVAL = 50_ms;
// Who cannot commit a check within this is itself cut off, or the service is slow for everybody:
// then the leader's silence about its checks is no sign, and a takeover would wait as they do.
constexpr Duration OWN_CHECK_DEADLINE = 75_ms;
// A stall of the whole service ends for all at about the same time, and for a leader with much
// under way or on a busy machine a little later: it must stay cut off between two checks of ours.
constexpr Duration BETWEEN_CHECKS = 40_ms;
constexpr Duration ASK_DEADLINE = 100_ms;
constexpr Duration CONFIRM_AGAIN = 100_ms;

using failover::LeaderInLine;
using failover::Suspicion;

}  // namespace

DeathWatch::DeathWatch(Parts parts)
    : parts_(kj::mv(parts)), confirmation_("guess of death"), tasks_("peers") {
  for (const PeerAddress& peer : parts_.settings.peers) {
    if (peer.id == parts_.settings.id) continue;
    size_t place = links_.size();
    links_.push_back(
        kj::heap<PeerLink>(parts_.env, peer, [this, place] { heard(*links_[place]); }));
    tasks_.add(links_.back()->run());
  }
  if (!links_.empty()) tasks_.add(watchLoop());
}

void DeathWatch::serve(failover::Contender& contender, failover::CoordinationSession& session) {
  if (links_.empty()) return;
  contender_ = contender;
  guessed_ = std::nullopt;
  session_ = session;
  contender.onLeaderInLine([this](const LeaderInLine& leader) {
    leader_ = leader;
    heardLeader_ = false;
    saidAlone_ = false;
    look();
  });
}

void DeathWatch::leave() {
  contender_ = nullptr;
  session_ = nullptr;
  leader_ = std::nullopt;
  confirming_ = false;
  confirmation_.clear();
}

void DeathWatch::won(const failover::Contender::Elected& elected) {
  leader_ = std::nullopt;
  if (!elected.onGuess) parts_.facts.takeover.guessed = {};
  if (!elected.onGuess || !guessed_) return;
  KJ_IF_MAYBE (session, session_) {
    parts_.facts.guessTakeovers++;
    histories_[guessed_->id].tookOver(guessed_->incarnation, guessedWhy_,
                                      parts_.env.clock.steadyNow(),
                                      session->health().timeoutGranted);
  }
}

// Also notices when this loop is late: then we may have missed what the peers said meanwhile.
Co<void> DeathWatch::watchLoop() {
  for (;;) {
    SteadyTime due = parts_.env.clock.steadyNow() + LOOK_INTERVAL;
    co_await parts_.env.timer.afterDelay(toKj(LOOK_INTERVAL));
    if (parts_.env.clock.steadyNow() - due > failover::LOOP_LATE) {
      for (auto& link : links_) link->ownLoopWasLate();
    }
    look();
  }
}

void DeathWatch::heard(PeerLink& link) {
  const failover::Hearing& hearing = link.hearing();
  if (hearing.connectedTo && hearing.newest) {
    parts_.sawToken(hearing.newest->token, link.id());
    auto history = histories_.find(link.id());
    if (history != histories_.end() &&
        history->second.heard(*hearing.newest, parts_.env.clock.steadyNow())) {
      parts_.facts.wrongGuesses++;
      parts_.env.logger.warn("a leader was taken for dead and lives", {{"peer", link.id()}});
    }
  }
  look();
}

Suspicion DeathWatch::suspicionOf(const LeaderInLine& leader) {
  KJ_IF_MAYBE (link, linkTo(leader.id)) {
    SteadyTime now = parts_.env.clock.steadyNow();
    auto history = histories_.find(leader.id);
    if (history != histories_.end() && !history->second.mayGuess(now)) return Suspicion::NONE;
    return failover::judge(link->hearing(), leader, now);
  }
  return Suspicion::NONE;
}

std::vector<failover::Claim> DeathWatch::claims(const HistoryId& history) const {
  std::vector<failover::Claim> claims;
  for (const auto& link : links_) {
    const auto& newest = link->hearing().newest;
    if (newest && newest->history == history) claims.push_back({link->id(), newest->position});
  }
  return claims;
}

kj::Promise<void> DeathWatch::hearAll(Duration deadline) {
  auto asked = kj::heapArrayBuilder<kj::Promise<void>>(links_.size());
  for (auto& link : links_) {
    bool isConnected = link->hearing().connectedTo.has_value();
    asked.add(isConnected ? link->hearNow(deadline) : kj::Promise<void>(kj::READY_NOW));
  }
  return kj::joinPromises(asked.finish());
}

kj::Promise<std::vector<ByteString>> DeathWatch::batches(const CoordinatorId& peer,
                                                         BatchNumber from, uint32_t countMax) {
  KJ_IF_MAYBE (link, linkTo(peer)) return link->batches(from, countMax);
  return std::vector<ByteString>();
}

kj::Promise<std::vector<ByteString>> DeathWatch::batchOfAll(BatchNumber number) {
  auto asked = kj::heapArrayBuilder<kj::Promise<std::vector<ByteString>>>(links_.size());
  for (auto& link : links_) asked.add(link->batches(number, 1));
  return kj::joinPromises(asked.finish()).then([](kj::Array<std::vector<ByteString>> answers) {
    std::vector<ByteString> all;
    for (auto& answer : answers) {
      if (!answer.empty()) all.push_back(std::move(answer.front()));
    }
    return all;
  });
}

void DeathWatch::tellDamaged(BatchNumber batch) {
  for (auto& link : links_) link->tellDamaged(batch);
}

bool DeathWatch::suspects(const LeaderInLine& leader) {
  return suspicionOf(leader) != Suspicion::NONE;
}

void DeathWatch::look() {
  if (!leader_ || contender_ == nullptr || !parts_.settings.guessDeath) return;
  noteHeard(*leader_);
  Suspicion suspicion = suspicionOf(*leader_);
  if (suspicion == Suspicion::NONE) return;
  if (!failover::needsMajority(suspicion)) return act(*leader_, suspicion);
  if (confirming_) return;
  confirming_ = true;
  LeaderInLine leader = *leader_;
  confirmation_.add(confirm(kj::mv(leader)).asPromise());
}

// Once per leader: from here on it can be missed.
void DeathWatch::noteHeard(const LeaderInLine& leader) {
  KJ_IF_MAYBE (link, linkTo(leader.id)) {
    if (heardLeader_ || link->hearing().connectedTo != leader.incarnation) return;
    heardLeader_ = true;
    parts_.env.logger.info("watches the leader",
                           {{"leader", leader.id}, {"epoch", leader.token.epoch}});
  }
}

// Whether we can commit a check ourselves, and soon.
kj::Promise<bool> DeathWatch::ableToCommit() {
  KJ_IF_MAYBE (contender, contender_) {
    auto late = parts_.env.timer.afterDelay(toKj(OWN_CHECK_DEADLINE)).then([] { return false; });
    return contender->proveCommit().exclusiveJoin(kj::mv(late));
  }
  return false;
}

// Asks the leader anew, behind a second check of ours: one whose checks were stuck together with
// ours may have committed one meanwhile. False when we cannot go on committing.
Co<bool> DeathWatch::isCutOffAlone(LeaderInLine leader) {
  co_await parts_.env.timer.afterDelay(toKj(BETWEEN_CHECKS));
  bool able = co_await ableToCommit();
  if (!able) co_return false;
  KJ_IF_MAYBE (link, linkTo(leader.id)) {
    co_await link->hearNow(ASK_DEADLINE);
  }
  co_return true;
}

// Silence is judged by a majority, each of whom hears nothing; we ourselves must be able to commit.
Co<void> DeathWatch::confirm(LeaderInLine leader) {
  bool able = co_await ableToCommit();
  if (able && suspicionOf(leader) == Suspicion::STALE) able = co_await isCutOffAlone(leader);
  if (able && suspicionOf(leader) != Suspicion::NONE) {
    size_t agreeing = co_await askPeers(leader);
    Suspicion suspicion = suspicionOf(leader);
    if (MUSTER_PLANTED_BUG(SILENCE_JUDGED_ALONE)) agreeing = parts_.settings.peers.size();
    bool agreed = failover::isMajority(agreeing, parts_.settings.peers.size());
    if (suspicion != Suspicion::NONE && leader_ == leader) {
      if (agreed) {
        act(leader, suspicion);
      } else if (!std::exchange(saidAlone_, true)) {
        parts_.env.logger.info("no majority suspects the leader",
                               {{"why", failover::guessReason(suspicion, leader.id)}});
      }
    }
  }
  co_await parts_.env.timer.afterDelay(toKj(CONFIRM_AGAIN));
  confirming_ = false;
}

// How many suspect `leader`, we included.
Co<size_t> DeathWatch::askPeers(LeaderInLine leader) {
  kj::Vector<kj::Promise<bool>> asked;
  for (auto& link : links_) {
    if (link->id() != leader.id) asked.add(link->suspects(leader, ASK_DEADLINE));
  }
  auto answers = co_await kj::joinPromises(asked.releaseAsArray());
  co_return 1 + static_cast<size_t>(std::count(answers.begin(), answers.end(), true));
}

void DeathWatch::act(const LeaderInLine& leader, Suspicion suspicion) {
  if (guessed_ == leader) return;
  guessed_ = leader;
  guessedWhy_ = suspicion;
  parts_.facts.takeover.guessed = parts_.env.clock.steadyNow();
  std::string why = failover::guessReason(suspicion, leader.id);
  parts_.env.logger.info("the leader is taken for dead",
                         {{"why", why}, {"epoch", leader.token.epoch}});
  KJ_IF_MAYBE (contender, contender_) {
    contender->guessDead(leader.token.epoch, why);
  }
}

kj::Maybe<PeerLink&> DeathWatch::linkTo(const CoordinatorId& id) {
  for (auto& link : links_) {
    if (link->id() == id) return *link;
  }
  return nullptr;
}

}  // namespace muster::coordinator

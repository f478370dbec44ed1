#include "failover/death_rules.h"

#include <algorithm>

namespace muster::failover {
namespace {

bool isGone(const Hearing& hearing, const Incarnation& leader) {
  if (hearing.connectedTo) return *hearing.connectedTo != leader;
  return hearing.refused && hearing.lostFrom == leader;
}

bool isSilent(const Hearing& hearing, SteadyTime now) {
  return now - std::max(hearing.newestSentAt, hearing.lateAt) >= SILENT_AFTER;
}

bool isStale(const Heartbeat& said, const FencingToken& token) {
  return said.serving && said.token == token && said.checkAge > CHECK_AGE_MAX;
}

}  // namespace

void Hearing::answered(const Heartbeat& heartbeat, SteadyTime sentAt) {
  connectedTo = heartbeat.incarnation;
  refused = false;
  newest = heartbeat;
  newestSentAt = sentAt;
}

void Hearing::broke() {
  if (connectedTo) lostFrom = connectedTo;
  connectedTo = std::nullopt;
  refused = false;
}

Suspicion judge(const Hearing& hearing, const LeaderInLine& leader, SteadyTime now) {
  if (leader.incarnation.isNull()) return Suspicion::NONE;
  if (isGone(hearing, leader.incarnation)) return Suspicion::GONE;
  // Who was never heard cannot fall silent: we may be the one who is cut off.
  if (!hearing.newest || hearing.newest->incarnation != leader.incarnation) return Suspicion::NONE;
  if (isSilent(hearing, now)) return Suspicion::SILENT;
  if (isStale(*hearing.newest, leader.token)) return Suspicion::STALE;
  return Suspicion::NONE;
}

std::string guessReason(Suspicion suspicion, const CoordinatorId& leader) {
  switch (suspicion) {
    case Suspicion::NONE:
      break;
    case Suspicion::GONE:
      return leader.value + " is gone";
    case Suspicion::SILENT:
      return leader.value + " is silent";
    case Suspicion::STALE:
      return leader.value + " is cut off from the coordination service";
  }
  return leader.value + " is taken for dead";
}

void GuessHistory::tookOver(Incarnation from, Suspicion why, SteadyTime now, Duration session) {
  bool wasRight = guessed_ && now >= provenAt_;
  if (wasRight) wrongInARow_ = 0;
  guessed_ = from;
  why_ = why;
  provenAt_ = now + session;
}

bool GuessHistory::heard(const Heartbeat& said, SteadyTime now) {
  if (guessed_ != said.incarnation || now >= provenAt_) return false;
  bool follows = said.connected && !said.serving;
  if (why_ == Suspicion::STALE && !follows) return false;
  guessed_ = std::nullopt;
  uint32_t doublings = std::min(wrongInARow_++, GUESS_PAUSE_DOUBLINGS_MAX);
  pausedUntil_ = now + GUESS_PAUSE * (int64_t{1} << doublings);
  return true;
}

}  // namespace muster::failover

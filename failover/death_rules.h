// When a leader is taken for dead before its session ends. A guess only starts a takeover sooner;
// no safety rule rests on it. Pure.
#pragma once

#include "base/clock.h"
#include "base/ids.h"
#include "base/units.h"
#include "protocol/batch.h"

#include <optional>
#include <string>
#include <string_view>

namespace muster::failover {

constexpr Duration PEER_HEARTBEAT = 100_ms;
// Since the sending of the newest heartbeat that was answered: at least three were missed.
constexpr Duration SILENT_AFTER = 400_ms;
// An idle leader commits a check every 200 ms.
constexpr Duration CHECK_AGE_MAX = 300_ms;
// A loop that woke this much after its time may have missed what was said meanwhile.
constexpr Duration LOOP_LATE = 100_ms;
// After the first wrong guess about a peer; doubled by each further one.
constexpr Duration GUESS_PAUSE = 60_s;
constexpr uint32_t GUESS_PAUSE_DOUBLINGS_MAX = 6;

// A coordinator's answer to a heartbeat.
struct Heartbeat {
  Incarnation incarnation;
  FencingToken token;         // highest it knows
  bool serving = false;       // as leader of the epoch in `token`
  Duration checkAge;          // of its last committed check of the epoch; only while serving
  bool connected = false;     // its session of the coordination service is
  HistoryId history = {};     // of what it holds
  LogPosition position = {};  // of the newest batch it has committed
  bool operator==(const Heartbeat&) const = default;
};

// What one coordinator has heard of one peer. Kept by whoever holds the connection.
struct Hearing {
  std::optional<Incarnation> connectedTo;  // by the first answer on this connection
  std::optional<Incarnation> lostFrom;     // whom the newest connection that broke was with
  bool refused = false;                    // since then nobody answered at its address
  std::optional<Heartbeat> newest;
  SteadyTime newestSentAt;  // when the heartbeat was sent that `newest` answers
  SteadyTime lateAt;        // our own loop was late then: earlier silence proves nothing

  void answered(const Heartbeat& heartbeat, SteadyTime sentAt);
  void broke();
  void nobodyAnswered() { refused = true; }
};

enum class Suspicion {
  NONE,
  GONE,    // its connection broke, and nobody or another process answers at its address
  SILENT,  // several heartbeats were missed
  STALE,   // it says itself that it has not committed a check for too long
};

// The leader as the line of candidates names it.
struct LeaderInLine {
  CoordinatorId id;
  Incarnation incarnation;
  FencingToken token;  // that it leads in
  bool operator==(const LeaderInLine&) const = default;
};

// What to think of `leader`, by what was heard of the peer of its name.
Suspicion judge(const Hearing& hearing, const LeaderInLine& leader, SteadyTime now);

// Whether so many of all configured coordinators are a majority.
constexpr bool isMajority(size_t agreeing, size_t configured) { return agreeing * 2 > configured; }

// Whether one coordinator's own judgement is enough to act on.
constexpr bool needsMajority(Suspicion suspicion) { return suspicion != Suspicion::GONE; }

// "co1 is gone", for the reason of a takeover.
std::string guessReason(Suspicion suspicion, const CoordinatorId& leader);

// How our takeovers from one peer turned out. After a wrong guess only the end of its session
// replaces that peer, for 1, 2, 4 ... minutes.
class GuessHistory {
 public:
  // We took over from that process because of `why`; its session would have ended `session` later
  // at the earliest.
  void tookOver(Incarnation from, Suspicion why, SteadyTime now, Duration session);
  // It says this. True when that proves the newest guess wrong: it lives, or, if it was cut off, it
  // follows again.
  bool heard(const Heartbeat& said, SteadyTime now);
  bool mayGuess(SteadyTime now) const { return now >= pausedUntil_; }

 private:
  std::optional<Incarnation> guessed_;  // and not yet proven wrong
  Suspicion why_ = Suspicion::NONE;
  SteadyTime provenAt_;  // when its session would have ended anyway
  SteadyTime pausedUntil_;
  uint32_t wrongInARow_ = 0;
};

}  // namespace muster::failover

// What a coordinator says about itself: plain numbers for /metrics, /readyz and `admin status`.
// Written by the parts of the shell, read by the API; nothing is decided by them.
#pragma once

#include "base/ids.h"
#include "base/units.h"
#include "coordinator/alarms.h"
#include "failover/coordination.h"
#include "protocol/phases.h"
#include "protocol/stage.h"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace muster::coordinator {

// Durations in buckets, as a Prometheus histogram wants them.
struct DurationHistogram {
  static constexpr std::array<Duration, 10> BOUNDS = {
      Duration{100'000}, Duration{300'000}, 1_ms, 3_ms, 10_ms, 30_ms, 100_ms, 300_ms, 1_s, 3_s};
  std::array<uint64_t, BOUNDS.size() + 1> counts{};  // of each bucket alone; the last one is +Inf
  uint64_t count = 0;
  Duration sum;

  void add(Duration duration) {
    size_t bucket = 0;
    while (bucket < BOUNDS.size() && duration > BOUNDS[bucket]) bucket++;
    counts[bucket]++;
    count++;
    sum = sum + duration;
  }
};

// When this coordinator's newest leadership came about, step by step.
struct TakeoverTimes {
  SteadyTime guessed;  // zero: the leader before was not taken for dead, its session had ended
  SteadyTime elected;
  SteadyTime caughtUp;
  SteadyTime serving;
};

struct CoordinatorFacts {
  Stage stage = Stage::STANDBY;
  std::string alarm;  // why this coordinator takes no part until somebody acts; empty: all is well
  Alarms alarms;
  bool rebuilding = false;  // its state is not the log's, or not yet: nobody reads it
  uint64_t rebuilds = 0;    // times the state was dropped and made anew
  uint64_t elections = 0;   // that this coordinator has won
  failover::SessionState session = failover::SessionState::CONNECTING;
  int64_t sessionId = 0;
  std::optional<SteadyTime> cutOffSince;  // without a connection to the coordination service
  LogIndex appliedIndex;    // newest that is applied here (leader: committed or in flight)
  LogIndex committedIndex;  // newest that is committed and in the store
  uint64_t fencedAttempts =
      0;  // appends, checks, orders, answers given up or refused: epoch or session over
  TakeoverTimes takeover;
  uint64_t guessTakeovers = 0;    // elections won before the old leader's session had ended
  uint64_t wrongGuesses = 0;      // of them, those whose leader turned out to live
  uint64_t rejectedCommands = 0;  // accepted by decide and rejected by apply: a bug, alarmed
  uint64_t appliedBatches = 0;
  uint64_t logBytes = 0;   // of the commands in them
  LogIndex snapshotIndex;  // of the newest snapshot this coordinator knows of
  uint64_t ordersSent = 0;
  uint64_t ordersFailed = 0;
  uint64_t heartbeats = 0;
  DurationHistogram reconcileDuration;
  DurationHistogram placementDuration;  // of the reconcile runs that placed or tried to place
  std::map<Reason, uint64_t> placementFailures;  // replicas that found no place, by reason
};

}  // namespace muster::coordinator

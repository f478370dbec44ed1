#include "coordinator/core/failures.h"

#include "coordinator/core/limits.h"
#include "coordinator/core/time_math.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

// The error of the rank that failed first, and which rank it was.
std::string firstErrorOf(const PlacedGeneration& generation) {
  const RankState* first = nullptr;
  std::string text;
  for (uint32_t i = 0; i < generation.ranks.size(); ++i) {
    const RankState& rank = generation.ranks[i];
    if (rank.phase != ReplicaPhase::FAILED || (first && first->since <= rank.since)) continue;
    first = &rank;
    text = rankName(generation.placement, {i}) + ": " +
           (rank.firstError.empty() ? rank.message : rank.firstError);
  }
  return text;
}

}  // namespace

Duration retryDelay(uint32_t attempts) {
  Duration delay = RETRY_DELAY_MIN;
  for (uint32_t i = 1; i < attempts && delay < RETRY_DELAY_MAX; ++i) delay = delay * 2;
  return std::min(delay, RETRY_DELAY_MAX);
}

bool failedByItself(Reason reason) {
  return reason != Reason::NONE && reason != Reason::NODE_LOST && reason != Reason::NODE_DRAINING;
}

void countFailure(Change& change, ReplicaState& replica, const PlacedGeneration& generation,
                  Reason reason) {
  if (!failedByItself(reason)) return;
  bool wasWell =
      generation.readyAt.nanos != 0 && elapsed(generation.readyAt, change.now) >= WELL_AFTER;
  if (wasWell) replica.failedAttempts = 0;
  if (replica.failedAttempts < UINT32_MAX) ++replica.failedAttempts;
  replica.retryAt = later(change.now, retryDelay(replica.failedAttempts));
  std::string error = firstErrorOf(generation);
  if (!error.empty()) replica.firstError = std::move(error);
}

}  // namespace muster::coordinator

// The state as it was: the newest base that is old enough, and the log replayed on it.
#pragma once

#include "base/log.h"
#include "base/result.h"
#include "coordinator/core/state.h"
#include "failover/coordination.h"
#include "failover/paths.h"
#include "protocol/batch.h"

#include <kj/async.h>
#include <kj/memory.h>

namespace muster::coordinator {

// A point in the past: an index, or when that is 0 a time.
struct PastPoint {
  LogIndex index;
  WallTime wall;
};

struct PastState {
  kj::Own<State> state;
  WallTime wall;  // of the newest batch in it; 0: unknown, for it is a snapshot's
};

struct ReplayParts {
  failover::CoordinationSession& session;
  failover::Paths paths;
  uint64_t recordsMax;  // a base with more is not loaded here: it would hold up the event loop
};

// Bases are the empty state, while the log goes back to its beginning, and the current snapshot.
// Refuses NOT_FOUND for a point before the oldest base or behind the end of the log, naming the
// oldest or newest point there is, and OVERLOADED when the base is too large for this coordinator.
// Throws DISCONNECTED when the session ends, FAILED for a log that is damaged. `parts.session`
// outlives the promise.
kj::Promise<Result<PastState>> replayTo(ReplayParts parts, PastPoint point);

}  // namespace muster::coordinator

// Requests of callers who know no cluster time, as those of HTTP with their Idempotency-Key, in
// place of the ids that our own clients make. Pure.
#pragma once

#include "coordinator/core/state.h"

#include <string>

namespace muster::coordinator {

// The guid of the request that this caller names `key`.
Guid guidOfKey(const std::string& principal, const std::string& key);

// An id without a time: the leader chooses it.
inline bool isTimeless(const RequestId& id) {
  return !id.guid.isNull() && id.clusterTime == Instant{};
}

// The id under which a leader in `state` carries out the request of this guid: the one it used for
// it in the last nine minutes of cluster time at least, or a new one.
RequestId requestOf(const State& state, const Guid& guid, Instant now);

}  // namespace muster::coordinator

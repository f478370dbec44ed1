#include "coordinator/request_key.h"

#include "protocol/record_hash.h"

namespace muster::coordinator {
namespace {

// An id carries the time of its making, which a key does not. Times are rounded down to this, so
// that a repetition finds the first one with few looks.
constexpr Duration STEP = 60_s;

}  // namespace

Guid guidOfKey(const std::string& principal, const std::string& key) {
  return hashOfRecord(principal, key);
}

RequestId requestOf(const State& state, const Guid& guid, Instant now) {
  RequestId id{guid, {now.nanos / STEP.nanos * STEP.nanos}};
  for (RequestId earlier = id; id.clusterTime - earlier.clusterTime < OUTCOME_KEPT;
       earlier.clusterTime = Instant{earlier.clusterTime.nanos - STEP.nanos}) {
    if (state.findOutcome(earlier) != nullptr) return earlier;
  }
  return id;
}

}  // namespace muster::coordinator

// State as records: what the store keeps and what the state's hash is made of.
//
// Keys are text, so that a dump is readable and sorted order is the same everywhere; numbers are 16
// (replica, rank: 8) lower-case hex digits:
//   meta                              history, applied index, cluster time, epoch, counters
//   node/NAME                         model/SOURCE
//   deployment/UID                    replica/UID/REPLICA
//   generation/UID/REPLICA/GENERATION the current one; rank/UID/REPLICA/GENERATION/RANK its ranks
//   retired/UID/REPLICA/GENERATION    outcome/CLUSTERTIME/GUID
// Each value is one flat Cap'n Proto message Record of coordinator/core/state.capnp.
#pragma once

#include "coordinator/core/state.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace muster::coordinator {

struct RecordWrite {
  std::string key;
  std::optional<std::string> value;  // nothing: the record is gone
  bool operator==(const RecordWrite&) const = default;
};

struct StoredRecord {
  std::string key;
  std::string value;
  bool operator==(const StoredRecord&) const = default;
};

// The state whose records these are, in any order, with everything derived.
// Throws a kj::Exception (FAILED) naming the key of a record that cannot be read or has no parent.
State loadState(std::span<const StoredRecord> records);

// All records of a state, sorted by key. For tests, snapshots and a first store; cost O(state).
std::vector<StoredRecord> allRecords(const State& state);

// XXH3-128 of one record; the state's hash is the sum mod 2^128 of these.
Guid recordHash(std::string_view key, std::string_view value);

}  // namespace muster::coordinator

// The state's hash: a sum over its records, so that one changed record costs one subtraction and
// one addition.
#include "protocol/record_hash.h"

#include "coordinator/core/record.h"
#include "coordinator/core/record_key.h"

namespace muster::coordinator {

Guid addHash(Guid sum, Guid hash) { return addToHash(sum, hash); }
Guid subtractHash(Guid sum, Guid hash) { return subtractFromHash(sum, hash); }

Guid recordHash(std::string_view key, std::string_view value) { return hashOfRecord(key, value); }

bool updateHash(State& state, const std::string& key, const std::optional<std::string>& value) {
  auto known = state.recordHashes.find(key);
  bool isKnown = known != state.recordHashes.end();
  if (!value) {
    if (!isKnown) return false;
    state.hashSum = subtractHash(state.hashSum, known->second);
    state.recordHashes.erase(known);
    return true;
  }
  Guid hash = recordHash(key, *value);
  if (isKnown) {
    if (hash == known->second) return false;
    state.hashSum = subtractHash(state.hashSum, known->second);
    known->second = hash;
  } else {
    state.recordHashes.emplace(key, hash);
  }
  state.hashSum = addHash(state.hashSum, hash);
  return true;
}

State emptyState(HistoryId history) {
  State state;
  state.history = history;
  updateHash(state, toText(MetaKey{}), encodeRecord(state, MetaKey{}));
  return state;
}

}  // namespace muster::coordinator

// The state's hash: a sum over its records, so that one changed record costs one subtraction and
// one addition.
#include "coordinator/core/record.h"
#include "coordinator/core/record_key.h"

#include <xxhash.h>

namespace muster::coordinator {
namespace {

using Wide = unsigned __int128;

Wide wide(Guid guid) { return (Wide{guid.high} << 64) | guid.low; }
Guid narrow(Wide sum) { return {static_cast<uint64_t>(sum >> 64), static_cast<uint64_t>(sum)}; }

}  // namespace

Guid addHash(Guid sum, Guid hash) { return narrow(wide(sum) + wide(hash)); }
Guid subtractHash(Guid sum, Guid hash) { return narrow(wide(sum) - wide(hash)); }

// The key's length goes first, so that no other split of the same bytes has the same hash.
Guid recordHash(std::string_view key, std::string_view value) {
  uint64_t length = key.size();
  std::string bytes;
  bytes.reserve(sizeof length + key.size() + value.size());
  for (int shift = 0; shift < 64; shift += 8) bytes.push_back(static_cast<char>(length >> shift));
  bytes.append(key).append(value);
  XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

bool updateHash(State& state, const std::string& key, const std::optional<std::string>& value) {
  auto known = state.recordHashes.find(key);
  if (known != state.recordHashes.end()) {
    if (value && recordHash(key, *value) == known->second) return false;
    state.hashSum = subtractHash(state.hashSum, known->second);
    state.recordHashes.erase(known);
  } else if (!value) {
    return false;
  }
  if (value) {
    Guid hash = recordHash(key, *value);
    state.recordHashes.emplace(key, hash);
    state.hashSum = addHash(state.hashSum, hash);
  }
  return true;
}

State emptyState(HistoryId history) {
  State state;
  state.history = history;
  updateHash(state, toText(MetaKey{}), encodeRecord(state, MetaKey{}));
  return state;
}

}  // namespace muster::coordinator

#include "protocol/record_hash.h"

#include <xxhash.h>

#include <string>

namespace muster {
namespace {

using Wide = unsigned __int128;

Wide wide(Guid guid) { return (Wide{guid.high} << 64) | guid.low; }
Guid narrow(Wide sum) { return {static_cast<uint64_t>(sum >> 64), static_cast<uint64_t>(sum)}; }

}  // namespace

Guid addToHash(Guid sum, Guid hash) { return narrow(wide(sum) + wide(hash)); }
Guid subtractFromHash(Guid sum, Guid hash) { return narrow(wide(sum) - wide(hash)); }

Guid hashOfRecord(std::string_view key, std::string_view value) {
  uint64_t length = key.size();
  std::string bytes;
  bytes.reserve(sizeof length + key.size() + value.size());
  for (int shift = 0; shift < 64; shift += 8) bytes.push_back(static_cast<char>(length >> shift));
  bytes.append(key).append(value);
  XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

}  // namespace muster

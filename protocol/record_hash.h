// What the hash of a state is made of: the sum mod 2^128 of its records' hashes.
#pragma once

#include "base/ids.h"

#include <string_view>

namespace muster {

// XXH3-128 of one record. The key's length goes first, so that no other split of the same bytes has
// the same hash.
Guid hashOfRecord(std::string_view key, std::string_view value);

// Sums of such hashes, mod 2^128.
Guid addToHash(Guid sum, Guid hash);
Guid subtractFromHash(Guid sum, Guid hash);

}  // namespace muster

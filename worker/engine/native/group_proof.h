// Proof that a rank knows its generation's secret: an HMAC over both sides' nonces, so that none
// can be replayed.
#pragma once

#include "base/random.h"
#include "protocol/command.h"
#include "worker/collective/communicators.h"

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace muster::worker {

using Nonce = std::array<uint8_t, 32>;
using Proof = std::array<uint8_t, 32>;

Nonce drawNonce(Random& random);

struct ProofInput {
  std::string_view side;  // "host" or "member", so that one side's proof is no proof of the other
  RankRef ref;            // of the member
  Nonce memberNonce;
  Nonce hostNonce;
  std::string statement;  // what else is said, and must be believed
};

// HMAC-SHA256 under the secret of the generation.
Proof makeProof(const GroupSecret& secret, const ProofInput& input);

// What the shared memory of a rank begins with, so that nobody takes another's for it.
MemoryMark makeMark(const GroupSecret& secret, const RankRef& ref);

// In constant time.
bool sameProof(const Proof& wanted, std::span<const uint8_t> got);

}  // namespace muster::worker

// Which of several replicas a request goes to. Pure; chance is handed in.
#pragma once

#include "base/random.h"
#include "protocol/balance.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace muster::gateway {

// One replica that may take the request.
struct Candidate {
  std::string_view id;
  uint32_t weight = 1;       // at least 1
  uint32_t outstanding = 0;  // requests that it works on for us
};

// What a policy may look at beside the candidates.
struct Turn {
  uint64_t number = 0;  // counts the requests of the model
  uint64_t prefix = 0;  // hash of the beginning of the prompt
  Random& random;
};

// A replica by prefix may hold at most this part more than its share before the next one is taken.
constexpr double PREFIX_OVERLOAD = 1.25;

// The place of the chosen one; `candidates` is not empty.
//
// - ROUND_ROBIN: by turn.
// - RANDOM: each alike.
// - WEIGHTED: by chance, in proportion to the weights.
// - LEAST_OUTSTANDING: the fewest requests per weight; among equals by chance, so that several
//   gateways do not all take the same one.
// - PREFIX: the highest hash of (prefix, replica) whose load is bounded; the same prompt finds the
//   same cache, and a replica that comes or goes moves only its own prompts. Sources: Thaler and
//   Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM ToN 6(1), 1998;
//   Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA 2018.
//
// Cost O(candidates), of PREFIX O(candidates log candidates).
size_t pickReplica(Balance policy, std::span<const Candidate> candidates, Turn turn);

}  // namespace muster::gateway

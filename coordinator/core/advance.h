// The next generation of a replica that has one: shard-level recovery. A ReplicaPlaced for such a
// replica lets every rank go on that has not ended and has the same place as before; the others
// start anew. What check, apply and reconcile have in common.
#pragma once

#include "base/result.h"
#include "coordinator/core/state.h"
#include "protocol/command.h"

#include <optional>
#include <set>
#include <string>

namespace muster::coordinator {

// From here on a replica's generation may be followed in place; older coordinators reject that.
inline constexpr uint32_t SCHEMA_LEVEL_ADVANCES = 2;

// Has stopped, failed or been lost, as far as is logged.
bool hasEnded(const RankState& rank);
// Whether a rank's process is known to be gone, so that the memory it was promised is free. An
// agent never starts the rank of a generation again.
bool isGone(const RankState& rank);

// Ranks that start anew. `after`: as many ranks as `before` has.
std::set<RankNumber> replacedRanks(const PlacedGeneration& before, const Placement& after);
// Ranks whose reservation passes to the next generation: those that go on, and those that are gone
// and start again on the same device.
std::set<RankNumber> keptReservations(const PlacedGeneration& before, const Placement& after);

// Why ranks had to be replaced: the first that ended, else where the first was.
struct AdvanceCause {
  Reason reason = Reason::NONE;
  std::string message;
};
AdvanceCause causeOf(const State& state, const PlacedGeneration& before,
                     const std::set<RankNumber>& replaced);

// Why the placement cannot follow the replica's current generation, which there must be; nothing
// when it can.
std::optional<Refusal> checkAdvance(const State& state, const ReplicaPlaced& body);

}  // namespace muster::coordinator

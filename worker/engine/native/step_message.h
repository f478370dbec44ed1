// How rank 0 tells the others what to compute. Lives only as long as a group, whose ranks may yet
// be of two builds: the first word is the format's version.
#pragma once

#include "worker/collective/collective.h"
#include "worker/engine/native/step.h"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace muster::worker {

// Words of 32 bits; decodeStep(encodeStep(step)) == step. Throws on words that are no step.
std::vector<uint32_t> encodeStep(const Step& step);
Step decodeStep(std::span<const uint32_t> words);

// Rank 0's side, and the others'. receiveStep() returns nothing after broadcastEnd().
void broadcastStep(Collective& world, const Step& step);
void broadcastEnd(Collective& world);
std::optional<Step> receiveStep(Collective& world);

}  // namespace muster::worker

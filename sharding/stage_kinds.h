// Gangs whose stages want unlike GPUs.
#pragma once

#include "sharding/constraints.h"

#include <cstdint>
#include <vector>

namespace muster::sharding {

// The stages of a gang that want one kind of GPU, as a gang of their own.
struct WishPart {
  GangWish wish;                 // all of its stages want `wish.gpu`
  std::vector<uint32_t> stages;  // which of the gang's; shape [stages of the part], ascending
};

// One part for each kind, in the order of their first stages; a single one where all want the same.
std::vector<WishPart> partsOf(const GangWish& wish);

// Sets what the stages of the wish want where that is not the same for all, and `gpu` to what every
// GPU meets that one of them would take.
void wishForStages(const DeploymentSpec& deployment, GangWish& wish);

}  // namespace muster::sharding

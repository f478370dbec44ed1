// The cut of a pipeline whose stages the owner names.
#pragma once

#include "base/result.h"
#include "protocol/deployment.h"

#include <cstdint>
#include <string>
#include <vector>

namespace muster::sharding {

// First layer of each stage; shape [stages]. Stages without a range share evenly what lies between
// the ranges beside them, as balancedStages() does.
//
// `layers`: of the model. Refuses INVALID_VALUE when the stages do not hold each of them once, or
// one would hold none.
Result<std::vector<uint32_t>> firstLayersOf(const std::vector<StageRequest>& stages,
                                            uint64_t layers);

// "0-9, 10-31": what each stage holds, at most eight. `firstLayers`: as of firstLayersOf().
std::string layersText(const std::vector<uint32_t>& firstLayers, uint64_t layers);

}  // namespace muster::sharding

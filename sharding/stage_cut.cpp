#include "sharding/stage_cut.h"

#include "sharding/shard_map.h"
#include "sharding/text.h"

#include <algorithm>

namespace muster::sharding {
namespace {

std::string rangeText(uint64_t first, uint64_t end) {
  return std::to_string(first) + "-" + std::to_string(end - 1);
}

// `at`: the stage; `next`: the first layer that the ones before leave.
Refusal wrongStart(size_t at, uint64_t first, uint64_t next) {
  return {RefusalCode::INVALID_VALUE, "stages[" + std::to_string(at) +
                                          "].layers starts with layer " + std::to_string(first) +
                                          ", wanted: " + std::to_string(next)};
}

Refusal tooFewLeft(uint64_t left, uint32_t stages) {
  return {RefusalCode::INVALID_VALUE, "stages leaves " + counted(left, "layer") +
                                          " of the model for " + counted(stages, "stage") +
                                          " with layers: auto, each holds one at least"};
}

Refusal notTheModel(uint64_t end, uint64_t layers) {
  return {
      RefusalCode::INVALID_VALUE,
      "stages ends with layer " + std::to_string(end - 1) + ", the model has " +
          rangeText(0, layers),
      {},
      {"end the last stage with layer " + std::to_string(layers - 1) + ", or write layers: auto"}};
}

// How many stages from here on have no range.
uint32_t openRun(const std::vector<StageRequest>& stages, size_t from) {
  auto begin = stages.begin() + static_cast<ptrdiff_t>(from);
  auto end = std::find_if(begin, stages.end(),
                          [](const StageRequest& stage) { return stage.layers.has_value(); });
  return static_cast<uint32_t>(end - begin);
}

}  // namespace

Result<std::vector<uint32_t>> firstLayersOf(const std::vector<StageRequest>& stages,
                                            uint64_t layers) {
  std::vector<uint32_t> first;
  uint64_t next = 0;  // the first layer that has no stage yet
  for (size_t at = 0; at < stages.size(); at = first.size()) {
    if (const auto& range = stages[at].layers) {
      if (range->first != next) return wrongStart(at, range->first, next);
      first.push_back(range->first);
      next = uint64_t{range->last} + 1;
      continue;
    }
    uint32_t run = openRun(stages, at);
    uint64_t end = at + run < stages.size() ? stages[at + run].layers->first : layers;
    if (end < next + run) return tooFewLeft(end - std::min(end, next), run);
    for (uint32_t layer : balancedStages(end - next, run)) {
      first.push_back(static_cast<uint32_t>(next) + layer);
    }
    next = end;
  }
  if (next != layers) return notTheModel(next, layers);
  return first;
}

std::string layersText(const std::vector<uint32_t>& firstLayers, uint64_t layers) {
  std::vector<std::string> ranges;
  for (size_t stage = 0; stage < firstLayers.size(); ++stage) {
    bool isLast = stage + 1 == firstLayers.size();
    ranges.push_back(rangeText(firstLayers[stage], isLast ? layers : firstLayers[stage + 1]));
  }
  return listText(ranges);
}

}  // namespace muster::sharding

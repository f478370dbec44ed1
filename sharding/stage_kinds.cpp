#include "sharding/stage_kinds.h"

#include <algorithm>
#include <functional>

namespace muster::sharding {
namespace {

WishPart& partFor(std::vector<WishPart>& parts, const GangWish& wish, const GpuRequirement& gpu) {
  for (auto& part : parts) {
    if (part.wish.gpu == gpu) return part;
  }
  GangWish empty = wish;
  empty.gpu = gpu;
  empty.stageGpu.clear();
  empty.stageMemory.clear();
  parts.push_back({std::move(empty), {}});
  return parts.back();
}

// A device that meets one of the two meets the result.
GpuRequirement eitherOf(GpuRequirement a, const GpuRequirement& b) {
  a.memoryMin = std::min(a.memoryMin, b.memoryMin);
  if (a.types.empty() || b.types.empty()) {
    a.types.clear();
    return a;
  }
  for (const auto& type : b.types) {
    if (std::ranges::find(a.types, type) == a.types.end()) a.types.push_back(type);
  }
  return a;
}

}  // namespace

std::vector<WishPart> partsOf(const GangWish& wish) {
  std::vector<WishPart> parts;
  for (uint32_t stage = 0; stage < wish.stageMemory.size(); ++stage) {
    WishPart& part = partFor(parts, wish, wish.stageGpu.empty() ? wish.gpu : wish.stageGpu[stage]);
    part.wish.stageMemory.push_back(wish.stageMemory[stage]);
    part.stages.push_back(stage);
  }
  return parts;
}

void wishForStages(const DeploymentSpec& deployment, GangWish& wish) {
  std::vector<GpuRequirement> gpus;
  for (uint32_t stage = 0; stage < deployment.stages.size(); ++stage) {
    gpus.push_back(gpuOfStage(deployment, stage));
  }
  if (gpus.empty()) return;
  bool isUnlike = std::ranges::adjacent_find(gpus, std::ranges::not_equal_to()) != gpus.end();
  wish.gpu = gpus.front();
  if (!isUnlike) return;
  for (const auto& gpu : gpus) wish.gpu = eitherOf(std::move(wish.gpu), gpu);
  wish.stageGpu = std::move(gpus);
}

}  // namespace muster::sharding

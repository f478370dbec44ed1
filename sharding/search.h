// Which ways of cutting a model there are, and what each asks of a device.
#pragma once

#include "base/result.h"
#include "protocol/deployment.h"
#include "protocol/model.h"
#include "protocol/plan.h"
#include "sharding/memory_model.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace muster::sharding {

struct CutRequest {
  ParallelRequest parallel;
  std::optional<uint32_t> gpus;  // of one replica
  uint64_t contextTokens = 0;
  uint32_t worldMax = 1;  // looks no further when nothing fixes the number of devices
  WeightFormat format = WeightFormat::STORED;
  std::vector<StageRequest> stages = {};  // empty, or as many as `parallel` has
};

// One way to cut, with the memory of each rank filled in.
struct Cut {
  ShardPlan plan;
  std::vector<RankMemory> memory;  // shape [world size]; empty when the model is unknown
  std::vector<Bytes> stageMemory;  // shape [stages]: of the stage's largest rank
  Bytes largest() const;           // rank of all
  bool operator==(const Cut&) const = default;
};

// "tp 2 pp 2".
std::string cutText(const ShardPlan& plan);

// Every cut that the architecture allows and the request leaves open, in the order of preference:
// fewest devices, then fewest stages, since a stage adds latency and tensor parallel inside an
// island is fast.
//
// Refuses INVALID_VALUE when gpus differs from tp × pp, PARALLEL_IMPOSSIBLE when nothing is left,
// naming what would be possible, and as firstLayersOf and cutModel.
Result<std::vector<Cut>> enumerateCuts(const ModelSpec& spec,
                                       const std::vector<TensorInfo>& tensors,
                                       const CutRequest& request);

// The one cut of a model that only its engine understands: `gpus` ranks, or tp × pp, or one.
// Refuses INVALID_VALUE when gpus differs from tp × pp.
Result<Cut> opaqueCut(const CutRequest& request);

}  // namespace muster::sharding

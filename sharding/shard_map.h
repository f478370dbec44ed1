// Which slice of which tensor belongs to which rank, as byte ranges of files.
#pragma once

#include "base/result.h"
#include "protocol/model.h"
#include "protocol/plan.h"
#include "sharding/model_spec.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace muster::sharding {

// A box of one tensor, and where its bytes are.
//
// The slice's bytes in row-major order are `rows` pieces of `rowBytes` each, the first at `offset`,
// each `stride` after the one before. A slice that lies in one piece has rows 1 and rowBytes ==
// stride == bytes.
struct Slice {
  std::string tensor;
  std::string file;  // relative to the model's directory
  Dtype dtype = Dtype::BF16;
  std::vector<std::pair<uint64_t, uint64_t>>
      ranges;                   // half-open, one per dimension of the whole tensor
  std::vector<uint64_t> shape;  // of the slice: range lengths
  uint64_t offset = 0;          // absolute file position of the slice's first byte
  uint64_t bytes = 0;           // of the slice alone: rows * rowBytes
  uint64_t rows = 1;
  uint64_t rowBytes = 0;
  uint64_t stride = 0;
  bool operator==(const Slice&) const = default;
};

// What one rank loads. The rank is (stage r / tensor, tensor index r % tensor).
struct RankShard {
  uint32_t rank = 0;
  uint32_t stage = 0;
  uint32_t tensorIndex = 0;
  uint64_t firstLayer = 0;
  uint64_t endLayer = 0;      // one past the last
  std::vector<Slice> slices;  // sorted by (file, offset): the order of reading
  Bytes bytes;                // sum over the slices
  bool operator==(const RankShard&) const = default;
};

struct ShardMap {
  std::vector<RankShard> ranks;  // shape [world size], by rank
  bool operator==(const ShardMap&) const = default;
};

// First layer of each of `stages` contiguous stages; extra layers go to the stages before the last
// one, which has the head to carry. 61 layers over 4: 15, 15, 16, 15. Shape [stages]. `stages`: in
// [1, layers].
std::vector<uint32_t> balancedStages(uint64_t layers, uint32_t stages);

// Cuts the model for every rank of the plan; uses `tensor`, `pipeline`, `expert` and
// `stageFirstLayer` of it only.
//
// Together the ranks' slices cover each tensor exactly once, except for what is replicated on
// purpose: norms and biases of row-cut projections on every rank of their stage; key/value heads on
// t / kvHeads ranks when t > kvHeads; a tied embedding on the first and the last stage. Refuses
// PARALLEL_IMPOSSIBLE when the architecture does not divide this way or the stages are not
// contiguous and non-empty, MODEL_FILE_CORRUPT when `tensors` lacks one that the architecture
// needs.
Result<ShardMap> cutModel(const ModelSpec& spec, const std::vector<TensorInfo>& tensors,
                          const ShardPlan& plan);

// The part of one rank, without making the others. Refuses as cutModel, and INVALID_VALUE for a
// rank beyond the plan.
Result<RankShard> cutRank(const ModelSpec& spec, const std::vector<TensorInfo>& tensors,
                          const ShardPlan& plan, uint32_t rank);

// What the ranks of one tensor-parallel size would load, for any cut into stages: a planner
// compares hundreds of cuts and makes slices of one.
struct WeightTable {
  uint32_t tensor = 1;
  uint32_t expert = 1;
  bool tiedEmbeddings = false;
  // By tensor index; shape [tensor] of each.
  std::vector<uint64_t> embedding;
  std::vector<uint64_t> tail;  // final norm and head
  std::vector<std::vector<uint64_t>>
      layersBefore;  // [tensor][layers + 1]: bytes of the layers below

  // Bytes of each rank; shape [world size]. `stageFirstLayer`: as in ShardPlan.
  std::vector<Bytes> ranks(const std::vector<uint32_t>& stageFirstLayer) const;
};

// Refuses as cutModel.
Result<WeightTable> weightTable(const ModelSpec& spec, const std::vector<TensorInfo>& tensors,
                                StageCut cut);

}  // namespace muster::sharding

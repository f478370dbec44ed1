#include "sharding/shard_map.h"

#include "sharding/text.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <string_view>
#include <tuple>

namespace muster::sharding {
namespace {

// A tensor of the architecture together with where it lies.
struct BoundTensor {
  TensorSpec spec;
  const TensorInfo* info;
};

// Half-open, along the dimension that is cut.
struct Share {
  size_t dimension;
  uint64_t begin;
  uint64_t end;
};

Share evenShare(size_t dimension, uint64_t length, uint64_t part, uint64_t parts) {
  return {dimension, length * part / parts, length * (part + 1) / parts};
}

// One rank of a stage. The cut was checked by whyNotStageCut.
struct StageSeat {
  StageCut cut;
  uint32_t index = 0;  // in the tensor group
};

// Whether the rank has a part of the tensor: of an expert only the ranks that share it. Experts lie
// in equal runs, those of a run on neighbouring ranks.
bool isOnSeat(const ModelSpec& spec, const TensorSpec& wanted, StageSeat seat) {
  if (!wanted.expert) return true;
  uint64_t holder = *wanted.expert * seat.cut.expert / spec.experts;
  return holder == seat.index / seat.cut.ranksOfExpert();
}

// The part of a tensor that a rank holds.
Share shareOf(const ModelSpec& spec, const TensorSpec& wanted, StageSeat seat) {
  const uint64_t tensor = wanted.expert ? seat.cut.ranksOfExpert() : seat.cut.tensor;
  const uint64_t index = seat.index % tensor;
  uint64_t rows = wanted.shape[0];
  switch (wanted.cut) {
    case TensorCut::REPLICATED:
      return {0, 0, rows};
    case TensorCut::ROWS:
      return evenShare(0, rows, index, tensor);
    case TensorCut::KV_ROWS: {
      // Rank i has query heads from i * heads / t on; those of one key/value head are neighbours,
      // so the head that serves them is the same share of all key/value heads.
      uint64_t parts = std::min(tensor, spec.kvHeads);
      return evenShare(0, rows, index * parts / tensor, parts);
    }
    case TensorCut::VOCABULARY_ROWS: {
      // Equal parts but for the last, so that gathered logits lie at their token's number.
      uint64_t part = (rows + tensor - 1) / tensor;
      return {0, std::min(rows, part * index), std::min(rows, part * (index + 1))};
    }
    case TensorCut::COLUMNS:
      return evenShare(1, wanted.shape[1], index, tensor);
  }
  KJ_FAIL_ASSERT("tensor cut beyond its enumeration", static_cast<int>(wanted.cut));
}

bool isOnStage(const ModelSpec& spec, const TensorSpec& wanted, const RankShard& rank,
               uint32_t stages) {
  bool isLast = rank.stage + 1 == stages;
  switch (wanted.home) {
    case TensorHome::FIRST_STAGE:
      return rank.stage == 0 || (spec.tiedEmbeddings && isLast);
    case TensorHome::LAYER:
      return wanted.layer >= rank.firstLayer && wanted.layer < rank.endLayer;
    case TensorHome::LAST_STAGE:
      return isLast;
  }
  return false;
}

// Bytes of a share: the tensor's bytes times its part of the cut dimension, which always divides
// evenly.
uint64_t shareBytes(const BoundTensor& tensor, const Share& share) {
  uint64_t length = tensor.spec.shape[share.dimension];
  return tensor.info->bytes / length * (share.end - share.begin);
}

Slice makeSlice(const BoundTensor& tensor, const Share& share) {
  const TensorInfo& info = *tensor.info;
  Slice slice{info.name, info.file, info.dtype, {}, info.shape, info.offset, 0, 1, 0, 0};
  for (uint64_t length : info.shape) slice.ranges.emplace_back(0, length);
  slice.ranges[share.dimension] = {share.begin, share.end};
  slice.shape[share.dimension] = share.end - share.begin;
  slice.bytes = shareBytes(tensor, share);

  uint64_t unit = bytesPerElement(info.dtype);
  for (size_t i = share.dimension + 1; i < info.shape.size(); ++i) unit *= info.shape[i];
  slice.offset += share.begin * unit;
  bool whole = share.end - share.begin == info.shape[share.dimension];
  if (share.dimension > 0 && !whole) slice.rows = info.shape[0];
  slice.rowBytes = slice.bytes / slice.rows;
  slice.stride = slice.rows == 1 ? slice.rowBytes : unit * info.shape[share.dimension];
  return slice;
}

Result<std::vector<BoundTensor>> bindTensors(const ModelSpec& spec,
                                             const std::vector<TensorInfo>& tensors) {
  std::map<std::string_view, const TensorInfo*> byName;
  for (const auto& tensor : tensors) byName.emplace(tensor.name, &tensor);
  std::vector<BoundTensor> bound;
  for (auto& wanted : expectedTensors(spec)) {
    auto found = byName.find(wanted.name);
    if (found == byName.end() || found->second->shape != wanted.shape) {
      return Refusal{RefusalCode::MODEL_FILE_CORRUPT, "tensor " + inQuotes(wanted.name) +
                                                          " of shape " + shapeText(wanted.shape) +
                                                          " is in no file of the model"};
    }
    bound.push_back({std::move(wanted), found->second});
  }
  return bound;
}

std::optional<Refusal> checkPlan(const ModelSpec& spec, const ShardPlan& plan) {
  auto impossible = [](std::string text) {
    return Refusal{RefusalCode::PARALLEL_IMPOSSIBLE, std::move(text)};
  };
  auto why = whyNotStageCut(spec, {plan.tensor, plan.expert});
  if (!why.empty()) return impossible(why);
  const auto& first = plan.stageFirstLayer;
  bool ascending =
      std::adjacent_find(first.begin(), first.end(), std::greater_equal<>()) == first.end();
  if (first.empty() || first.size() != plan.pipeline || first.front() != 0 || !ascending ||
      first.back() >= spec.layers) {
    return impossible("pp " + std::to_string(plan.pipeline) + " with first layers " +
                      shapeText({first.begin(), first.end()}) + " does not cut " +
                      std::to_string(spec.layers) + " layers into contiguous stages");
  }
  return std::nullopt;
}

RankShard emptyShard(const ModelSpec& spec, const ShardPlan& plan, uint32_t rank) {
  RankShard shard;
  shard.rank = rank;
  shard.stage = rank / plan.tensor;
  shard.tensorIndex = rank % plan.tensor;
  shard.firstLayer = plan.stageFirstLayer[shard.stage];
  bool isLast = shard.stage + 1 == plan.pipeline;
  shard.endLayer = isLast ? spec.layers : plan.stageFirstLayer[shard.stage + 1];
  return shard;
}

RankShard makeShard(const ModelSpec& spec, const std::vector<BoundTensor>& tensors,
                    const ShardPlan& plan, uint32_t rank) {
  RankShard shard = emptyShard(spec, plan, rank);
  const StageSeat seat{{plan.tensor, plan.expert}, shard.tensorIndex};
  for (const auto& tensor : tensors) {
    if (!isOnStage(spec, tensor.spec, shard, plan.pipeline)) continue;
    if (!isOnSeat(spec, tensor.spec, seat)) continue;
    Share share = shareOf(spec, tensor.spec, seat);
    shard.slices.push_back(makeSlice(tensor, share));
    shard.bytes += Bytes{shard.slices.back().bytes};
  }
  std::sort(shard.slices.begin(), shard.slices.end(), [](const Slice& a, const Slice& b) {
    return std::tie(a.file, a.offset, a.tensor) < std::tie(b.file, b.offset, b.tensor);
  });
  return shard;
}

}  // namespace

std::vector<uint32_t> balancedStages(uint64_t layers, uint32_t stages) {
  KJ_REQUIRE(stages >= 1 && stages <= layers, stages, layers);
  uint64_t extra = layers % stages;
  std::vector<uint32_t> first;
  uint64_t layer = 0;
  for (uint32_t stage = 0; stage < stages; ++stage) {
    first.push_back(static_cast<uint32_t>(layer));
    bool hasExtra = stage + 1 < stages && stage + 1 + extra >= stages;
    layer += layers / stages + (hasExtra ? 1 : 0);
  }
  return first;
}

Result<ShardMap> cutModel(const ModelSpec& spec, const std::vector<TensorInfo>& tensors,
                          const ShardPlan& plan) {
  if (auto refusal = checkPlan(spec, plan)) return *refusal;
  auto bound = bindTensors(spec, tensors);
  if (!bound) return bound.refusal();
  ShardMap map;
  for (uint32_t rank = 0; rank < plan.worldSize(); ++rank) {
    map.ranks.push_back(makeShard(spec, *bound, plan, rank));
  }
  return map;
}

Result<RankShard> cutRank(const ModelSpec& spec, const std::vector<TensorInfo>& tensors,
                          const ShardPlan& plan, uint32_t rank) {
  if (auto refusal = checkPlan(spec, plan)) return *refusal;
  if (rank >= plan.worldSize()) {
    return Refusal{RefusalCode::INVALID_VALUE, "rank " + std::to_string(rank) + " of a plan with " +
                                                   counted(plan.worldSize(), "rank")};
  }
  auto bound = bindTensors(spec, tensors);
  if (!bound) return bound.refusal();
  return makeShard(spec, *bound, plan, rank);
}

std::vector<Bytes> WeightTable::ranks(const std::vector<uint32_t>& stageFirstLayer) const {
  std::vector<Bytes> bytes;
  size_t stages = stageFirstLayer.size();
  for (size_t stage = 0; stage < stages; ++stage) {
    bool isLast = stage + 1 == stages;
    for (uint32_t index = 0; index < tensor; ++index) {
      const auto& before = layersBefore[index];
      uint64_t end = isLast ? before.back() : before[stageFirstLayer[stage + 1]];
      uint64_t sum = end - before[stageFirstLayer[stage]];
      if (stage == 0 || (isLast && tiedEmbeddings)) sum += embedding[index];
      if (isLast) sum += tail[index];
      bytes.push_back(Bytes{sum});
    }
  }
  return bytes;
}

Result<WeightTable> weightTable(const ModelSpec& spec, const std::vector<TensorInfo>& tensors,
                                StageCut cut) {
  if (auto why = whyNotStageCut(spec, cut); !why.empty()) {
    return Refusal{RefusalCode::PARALLEL_IMPOSSIBLE, why};
  }
  auto bound = bindTensors(spec, tensors);
  if (!bound) return bound.refusal();
  WeightTable table{cut.tensor, cut.expert, spec.tiedEmbeddings, {}, {}, {}};
  for (uint32_t index = 0; index < cut.tensor; ++index) {
    uint64_t embedding = 0;
    uint64_t tail = 0;
    std::vector<uint64_t> layers(spec.layers + 1, 0);
    for (const auto& part : *bound) {
      if (!isOnSeat(spec, part.spec, {cut, index})) continue;
      uint64_t bytes = shareBytes(part, shareOf(spec, part.spec, {cut, index}));
      if (part.spec.home == TensorHome::FIRST_STAGE) embedding += bytes;
      if (part.spec.home == TensorHome::LAST_STAGE) tail += bytes;
      if (part.spec.home == TensorHome::LAYER) layers[part.spec.layer + 1] += bytes;
    }
    std::partial_sum(layers.begin(), layers.end(), layers.begin());
    table.embedding.push_back(embedding);
    table.tail.push_back(tail);
    table.layersBefore.push_back(std::move(layers));
  }
  return table;
}

}  // namespace muster::sharding

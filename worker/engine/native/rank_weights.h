// The weights of one rank on its device. They outlive generations: a group that lost a member meets
// again, and those who stayed keep theirs.
#pragma once

#include "base/result.h"
#include "protocol/plan.h"
#include "sharding/model_spec.h"
#include "worker/engine/native/backend.h"
#include "worker/engine/native/operation_board.h"
#include "worker/engine/native/rope.h"
#include "worker/engine/native/slice_load.h"

#include <map>
#include <memory>
#include <vector>

namespace muster::worker {

using MatrixPointer = std::unique_ptr<WeightMatrix>;

struct FeedForwardWeights {
  MatrixPointer gate;
  MatrixPointer up;
  MatrixPointer down;
  DeviceBuffer gateBias;
  DeviceBuffer upBias;
  DeviceBuffer downBias;  // whole: added once, after the sum over ranks
};

struct LayerWeights {
  DeviceBuffer inputNorm;
  MatrixPointer query;
  MatrixPointer key;
  MatrixPointer value;
  MatrixPointer output;
  DeviceBuffer queryBias;
  DeviceBuffer keyBias;
  DeviceBuffer valueBias;
  DeviceBuffer outputBias;  // whole, as downBias
  DeviceBuffer queryNorm;   // shape [headSize], as keyNorm; empty unless the model has it
  DeviceBuffer keyNorm;
  DeviceBuffer feedForwardNorm;
  FeedForwardWeights feedForward;                  // unless the model has experts
  MatrixPointer router;                            // with experts only: shape [experts][hidden]
  std::map<uint32_t, FeedForwardWeights> experts;  // those that this rank has a part of
};

struct RankWeights {
  sharding::ModelSpec spec;
  ShardPlan plan;
  RopeTable rope;
  uint32_t stage = 0;
  uint32_t tensorIndex = 0;
  uint32_t firstLayer = 0;
  std::vector<LayerWeights> layers;  // of the stage
  MatrixPointer embedding;           // first stage, and last one when the head is tied to it
  DeviceBuffer finalNorm;            // last stage, as head
  MatrixPointer ownHead;             // unless tied

  sharding::StageCut stageCut() const { return {plan.tensor, plan.expert}; }
  bool isFirstStage() const { return stage == 0; }
  bool isLastStage() const { return stage + 1 == plan.pipeline; }
  const WeightMatrix& head() const { return ownHead == nullptr ? *embedding : *ownHead; }
};

struct RankWeightsTask {
  sharding::ModelSpec spec;
  ShardPlan plan;
  RankNumber rank;
};

// Brings a rank's slices, all of them, to the device. The plan's format INT8 rounds the matrices of
// the layers and an untied head; embeddings, routers, norms and biases stay as they are stored. The
// bytes of each are given up as soon as the device has them. Each is noted on `board`, if there is
// one. Refuses WEIGHTS_CORRUPT when one is missing, and as RopeTable::of.
Result<RankWeights> placeWeights(Backend& backend, RankWeightsTask task,
                                 std::vector<LoadedSlice> slices, OperationBoard* board = nullptr);

}  // namespace muster::worker

#include "worker/engine/native/rank_weights.h"

#include "worker/engine/native/element_math.h"

#include <kj/debug.h>

#include <cstring>
#include <map>
#include <string>
#include <utility>

namespace muster::worker {
namespace {

// A vector of any stored type as floats.
std::vector<float> widened(Dtype dtype, const AlignedBytes& bytes) {
  std::vector<float> values(bytes.size() / bytesPerElement(dtype));
  if (dtype == Dtype::F32) {
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  KJ_REQUIRE(dtype == Dtype::F16 || dtype == Dtype::BF16, "weights are F32, F16 or BF16",
             toText(dtype).c_str());
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, bytes.data() + i * sizeof bits, sizeof bits);
    values[i] = dtype == Dtype::F16 ? halfToFloat(bits) : bfloatToFloat(bits);
  }
  return values;
}

// Takes slices by their tensors' names and keeps the first that is missing.
class SliceTaker {
 public:
  SliceTaker(Backend& backend, std::vector<LoadedSlice> slices, OperationBoard* board)
      : backend_(backend), board_(board) {
    for (auto& loaded : slices) {
      std::string name = loaded.slice.tensor;
      slices_.emplace(std::move(name), std::move(loaded));
    }
  }

  MatrixPointer matrix(const std::string& name, WeightFormat format = WeightFormat::STORED) {
    auto loaded = take(name);
    if (!loaded) return nullptr;
    return backend_.makeMatrix({.rows = static_cast<uint32_t>(loaded->slice.shape.at(0)),
                                .columns = static_cast<uint32_t>(loaded->slice.shape.at(1)),
                                .dtype = loaded->slice.dtype,
                                .format = format,
                                .bytes = std::move(loaded->bytes)});
  }

  DeviceBuffer vector(const std::string& name) {
    auto loaded = take(name);
    if (!loaded) return {};
    auto values = widened(loaded->slice.dtype, loaded->bytes);
    DeviceBuffer buffer(backend_, values.size() * sizeof(float));
    backend_.upload(buffer.floats(), std::as_bytes(std::span(values)));
    return buffer;
  }
  DeviceBuffer vectorIf(bool wanted, const std::string& name) {
    return wanted ? vector(name) : DeviceBuffer();
  }

  std::string missing;

 private:
  std::optional<LoadedSlice> take(const std::string& name) {
    noteOperation(board_, RankOperation::PLACE_WEIGHTS, ++taken_);
    auto node = slices_.extract(name);
    if (node.empty()) {
      if (missing.empty()) missing = name;
      return std::nullopt;
    }
    return std::move(node.mapped());
  }

  Backend& backend_;
  OperationBoard* board_;
  uint32_t taken_ = 0;
  std::map<std::string, LoadedSlice> slices_;
};

FeedForwardWeights takeFeedForward(SliceTaker& taker, const RankWeightsTask& task,
                                   const std::string& prefix) {
  FeedForwardWeights weights;
  weights.gate = taker.matrix(prefix + "gate_proj.weight", task.plan.format);
  weights.up = taker.matrix(prefix + "up_proj.weight", task.plan.format);
  weights.down = taker.matrix(prefix + "down_proj.weight", task.plan.format);
  weights.gateBias = taker.vectorIf(task.spec.mlpBias, prefix + "gate_proj.bias");
  weights.upBias = taker.vectorIf(task.spec.mlpBias, prefix + "up_proj.bias");
  weights.downBias = taker.vectorIf(task.spec.mlpBias, prefix + "down_proj.bias");
  return weights;
}

// In the names of Mixtral's files: w1 is the gate, w3 is up, w2 is down.
void takeExperts(SliceTaker& taker, const RankWeightsTask& task, const std::string& prefix,
                 LayerWeights& weights) {
  const sharding::StageCut cut{task.plan.tensor, task.plan.expert};
  const uint64_t held = task.spec.experts / cut.expert;
  const uint64_t first = task.rank.value % cut.tensor / cut.ranksOfExpert() * held;
  weights.router = taker.matrix(prefix + "gate.weight");
  for (uint64_t expert = first; expert < first + held; ++expert) {
    const std::string name = prefix + "experts." + std::to_string(expert) + ".";
    auto& own = weights.experts[static_cast<uint32_t>(expert)];
    own.gate = taker.matrix(name + "w1.weight", task.plan.format);
    own.up = taker.matrix(name + "w3.weight", task.plan.format);
    own.down = taker.matrix(name + "w2.weight", task.plan.format);
  }
}

LayerWeights takeLayer(SliceTaker& taker, const RankWeightsTask& task, uint64_t layer) {
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  const std::string attention = prefix + "self_attn.";
  const auto& spec = task.spec;
  LayerWeights weights;
  weights.inputNorm = taker.vector(prefix + "input_layernorm.weight");
  weights.query = taker.matrix(attention + "q_proj.weight", task.plan.format);
  weights.key = taker.matrix(attention + "k_proj.weight", task.plan.format);
  weights.value = taker.matrix(attention + "v_proj.weight", task.plan.format);
  weights.output = taker.matrix(attention + "o_proj.weight", task.plan.format);
  weights.queryBias = taker.vectorIf(spec.qkvBias, attention + "q_proj.bias");
  weights.keyBias = taker.vectorIf(spec.qkvBias, attention + "k_proj.bias");
  weights.valueBias = taker.vectorIf(spec.qkvBias, attention + "v_proj.bias");
  weights.outputBias = taker.vectorIf(spec.outputBias, attention + "o_proj.bias");
  weights.queryNorm = taker.vectorIf(spec.qkNorm, attention + "q_norm.weight");
  weights.keyNorm = taker.vectorIf(spec.qkNorm, attention + "k_norm.weight");
  weights.feedForwardNorm = taker.vector(prefix + "post_attention_layernorm.weight");
  if (spec.experts > 0) {
    takeExperts(taker, task, prefix + "block_sparse_moe.", weights);
  } else {
    weights.feedForward = takeFeedForward(taker, task, prefix + "mlp.");
  }
  return weights;
}

}  // namespace

Result<RankWeights> placeWeights(Backend& backend, RankWeightsTask task,
                                 std::vector<LoadedSlice> slices, OperationBoard* board) {
  auto rope = RopeTable::of(task.spec);
  if (!rope) return rope.refusal();
  SliceTaker taker(backend, std::move(slices), board);
  RankWeights weights{.spec = task.spec,
                      .plan = task.plan,
                      .rope = std::move(*rope),
                      .stage = task.rank.value / task.plan.tensor,
                      .tensorIndex = task.rank.value % task.plan.tensor};
  weights.firstLayer = task.plan.stageFirstLayer.at(weights.stage);
  uint64_t endLayer =
      weights.isLastStage() ? task.spec.layers : task.plan.stageFirstLayer.at(weights.stage + 1);
  const bool tied = task.spec.tiedEmbeddings;
  if (weights.isFirstStage() || (weights.isLastStage() && tied)) {
    weights.embedding = taker.matrix("model.embed_tokens.weight");
  }
  for (uint64_t layer = weights.firstLayer; layer < endLayer; ++layer) {
    weights.layers.push_back(takeLayer(taker, task, layer));
  }
  if (weights.isLastStage()) {
    weights.finalNorm = taker.vector("model.norm.weight");
    if (!tied) weights.ownHead = taker.matrix("lm_head.weight", task.plan.format);
  }
  if (!taker.missing.empty()) {
    return Refusal{.code = RefusalCode::WEIGHTS_CORRUPT,
                   .text = "no slice of tensor \"" + taker.missing + "\" was loaded"};
  }
  return weights;
}

}  // namespace muster::worker

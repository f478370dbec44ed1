// What a model is: the numbers of its config.json that decide how it can be cut and what it needs.
#pragma once

#include "base/result.h"
#include "protocol/model.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muster::sharding {

enum class Family : uint8_t { LLAMA, MISTRAL, QWEN2, QWEN3, MIXTRAL };

// A decoder-only transformer with grouped-query attention, rotary positions, RMS norms and a gated
// feed-forward, or several of them per layer as experts. Everything comes from fields, never from
// the name of a folder.
struct ModelSpec {
  Family family = Family::LLAMA;
  std::string architecture;  // "LlamaForCausalLM"
  uint64_t vocabulary = 0;
  uint64_t hidden = 0;
  uint64_t intermediate = 0;  // width of the feed-forward, or of each expert
  uint64_t experts = 0;       // of a layer; 0: none, every token takes the one feed-forward
  uint64_t expertsPerToken = 0;
  uint64_t layers = 0;
  uint64_t heads = 0;
  uint64_t kvHeads = 0;
  uint64_t headSize = 0;
  uint64_t positions = 0;                 // max_position_embeddings, tokens
  std::optional<uint64_t> slidingWindow;  // tokens that attention looks back, in every layer
  double ropeTheta = 10'000;
  std::string ropeScaling;  // JSON as config.json has it; empty: none
  double normEpsilon = 1e-6;
  bool tiedEmbeddings = false;  // the head is the embedding
  bool qkvBias = false;
  bool outputBias = false;  // of the attention's output projection
  bool mlpBias = false;
  bool qkNorm = false;                     // a norm of headSize on each query and key head
  Dtype dtype = Dtype::BF16;               // of the embedding; other tensors may differ
  uint64_t parameters = 0;                 // counted once when tied
  std::vector<std::string> unusedTensors;  // in the files and not part of the model, sorted
  bool operator==(const ModelSpec&) const = default;
};

// How tensor parallelism treats a tensor.
enum class TensorCut : uint8_t {
  REPLICATED,  // every rank of the stage has all of it
  ROWS,        // dimension 0 in t equal parts: query, gate, up and their biases
  KV_ROWS,     // dimension 0 by key/value heads: min(t, kvHeads) parts, each on t / parts ranks
  VOCABULARY_ROWS,  // dimension 0 in t parts of ceil(V / t) rows, the last one shorter
  COLUMNS,          // dimension 1 in t equal parts: attention output, down
};

// Which stages of a pipeline hold a tensor.
enum class TensorHome : uint8_t {
  FIRST_STAGE,  // embedding; also on the last stage when the head is tied to it
  LAYER,        // the stage that has `layer`
  LAST_STAGE,   // final norm and head
};

// One tensor that the architecture consists of.
struct TensorSpec {
  std::string name;
  std::vector<uint64_t> shape;
  TensorCut cut = TensorCut::REPLICATED;
  TensorHome home = TensorHome::LAYER;
  uint64_t layer = 0;              // only with TensorHome::LAYER
  std::optional<uint64_t> expert;  // whose tensor it is, if of one
  bool operator==(const TensorSpec&) const = default;
};

// The model of a config.json alone; `dtype` is what the config says, `unusedTensors` is empty.
//
// Refuses MODEL_ARCHITECTURE_UNKNOWN, naming it and what is supported; MODEL_CONFIG_INVALID for
// missing fields and impossible values; NOT_SUPPORTED_YET for a quantised model.
Result<ModelSpec> parseModelConfig(std::string_view configJson);

// Every tensor of the architecture in the order of the computation: embedding, layers, final norm,
// head.
std::vector<TensorSpec> expectedTensors(const ModelSpec& spec);

// The model of a config.json and the headers of its files.
//
// Refuses as parseModelConfig, and MODEL_FILE_CORRUPT when an expected tensor is missing, has
// another shape, or is not made of F32, F16 or BF16; MODEL_CONFIG_INVALID when the files hold a
// tensor that the config does not explain, since leaving it out would change what the model
// computes. Rotary tables and a stored copy of a tied head are left out.
Result<ModelSpec> readModelSpec(std::string_view configJson,
                                const std::vector<TensorInfo>& tensors);

// How the ranks of a stage share its layers.
struct StageCut {
  uint32_t tensor = 1;
  uint32_t expert = 1;  // as in ShardPlan
  // Ranks that share each expert.
  uint32_t ranksOfExpert() const { return tensor / expert; }
};

// Tensor-parallel sizes that divide this architecture with the expert-parallel size `expert`,
// ascending.
std::vector<uint32_t> allowedTensorSizes(const ModelSpec& spec, uint32_t expert = 1);

// Why the ranks of a stage cannot share this architecture so; empty when they can.
std::string whyNotStageCut(const ModelSpec& spec, StageCut cut);

}  // namespace muster::sharding

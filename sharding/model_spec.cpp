#include "sharding/model_spec.h"

#include "sharding/text.h"

#include <algorithm>
#include <map>

namespace muster::sharding {
namespace {

std::string layerName(uint64_t layer, const char* rest) {
  return "model.layers." + std::to_string(layer) + "." + rest;
}

// Collects the tensors of one layer under its prefix.
class LayerTensors {
 public:
  LayerTensors(std::vector<TensorSpec>& to, uint64_t layer) : to_(to), layer_(layer) {}

  void add(const char* name, std::vector<uint64_t> shape, TensorCut cut) {
    to_.push_back({layerName(layer_, name), std::move(shape), cut, TensorHome::LAYER, layer_, {}});
  }

  void addOfExpert(uint64_t expert, const char* name, std::vector<uint64_t> shape, TensorCut cut) {
    std::string full = "block_sparse_moe.experts." + std::to_string(expert) + "." + name;
    add(full.c_str(), std::move(shape), cut);
    to_.back().expert = expert;
  }

 private:
  std::vector<TensorSpec>& to_;
  uint64_t layer_;
};

void addAttention(LayerTensors& layer, const ModelSpec& spec) {
  uint64_t queries = spec.heads * spec.headSize;
  uint64_t keys = spec.kvHeads * spec.headSize;
  layer.add("self_attn.q_proj.weight", {queries, spec.hidden}, TensorCut::ROWS);
  layer.add("self_attn.k_proj.weight", {keys, spec.hidden}, TensorCut::KV_ROWS);
  layer.add("self_attn.v_proj.weight", {keys, spec.hidden}, TensorCut::KV_ROWS);
  layer.add("self_attn.o_proj.weight", {spec.hidden, queries}, TensorCut::COLUMNS);
  if (spec.qkvBias) {
    layer.add("self_attn.q_proj.bias", {queries}, TensorCut::ROWS);
    layer.add("self_attn.k_proj.bias", {keys}, TensorCut::KV_ROWS);
    layer.add("self_attn.v_proj.bias", {keys}, TensorCut::KV_ROWS);
  }
  // The output's partial sums meet in an all-reduce; the bias is added once after it, so each rank
  // has all of it.
  if (spec.outputBias) {
    layer.add("self_attn.o_proj.bias", {spec.hidden}, TensorCut::REPLICATED);
  }
  if (spec.qkNorm) {
    layer.add("self_attn.q_norm.weight", {spec.headSize}, TensorCut::REPLICATED);
    layer.add("self_attn.k_norm.weight", {spec.headSize}, TensorCut::REPLICATED);
  }
}

void addFeedForward(LayerTensors& layer, const ModelSpec& spec) {
  layer.add("mlp.gate_proj.weight", {spec.intermediate, spec.hidden}, TensorCut::ROWS);
  layer.add("mlp.up_proj.weight", {spec.intermediate, spec.hidden}, TensorCut::ROWS);
  layer.add("mlp.down_proj.weight", {spec.hidden, spec.intermediate}, TensorCut::COLUMNS);
  if (!spec.mlpBias) return;
  layer.add("mlp.gate_proj.bias", {spec.intermediate}, TensorCut::ROWS);
  layer.add("mlp.up_proj.bias", {spec.intermediate}, TensorCut::ROWS);
  layer.add("mlp.down_proj.bias", {spec.hidden}, TensorCut::REPLICATED);
}

// w1 is the gate, w3 is up and w2 is down. The router is small and needed by all.
void addExperts(LayerTensors& layer, const ModelSpec& spec) {
  layer.add("block_sparse_moe.gate.weight", {spec.experts, spec.hidden}, TensorCut::REPLICATED);
  for (uint64_t expert = 0; expert < spec.experts; ++expert) {
    layer.addOfExpert(expert, "w1.weight", {spec.intermediate, spec.hidden}, TensorCut::ROWS);
    layer.addOfExpert(expert, "w2.weight", {spec.hidden, spec.intermediate}, TensorCut::COLUMNS);
    layer.addOfExpert(expert, "w3.weight", {spec.intermediate, spec.hidden}, TensorCut::ROWS);
  }
}

bool isWeightDtype(Dtype dtype) {
  return dtype == Dtype::F32 || dtype == Dtype::F16 || dtype == Dtype::BF16;
}

// Tables that old exporters stored and that follow from the config, and the copy of a tied head.
bool mayBeLeftOut(const ModelSpec& spec, const std::string& name) {
  return name.ends_with(".rotary_emb.inv_freq") ||
         (spec.tiedEmbeddings && name == "lm_head.weight");
}

std::string whyNotExpertSize(const ModelSpec& spec, StageCut cut) {
  if (cut.expert == 1) return {};
  std::string ep = "ep " + std::to_string(cut.expert);
  if (cut.expert == 0) return ep + " is no size";
  if (spec.experts == 0) return ep + " is for models with experts";
  if (spec.experts % cut.expert != 0) {
    return ep + " does not divide " + std::to_string(spec.experts) + " experts";
  }
  if (cut.tensor % cut.expert != 0) {
    return ep + " does not divide tp " + std::to_string(cut.tensor);
  }
  return {};
}

std::optional<Refusal> checkTensor(const TensorSpec& wanted, const TensorInfo* found) {
  auto corrupt = [](std::string text) {
    return Refusal{RefusalCode::MODEL_FILE_CORRUPT, std::move(text)};
  };
  std::string name = "tensor " + inQuotes(wanted.name);
  if (found == nullptr) {
    return corrupt(name + " of shape " + shapeText(wanted.shape) + " is in no file of the model");
  }
  if (found->shape != wanted.shape) {
    return corrupt(found->file + ": " + name + " has shape " + shapeText(found->shape) +
                   ", config.json wants " + shapeText(wanted.shape));
  }
  if (!isWeightDtype(found->dtype)) {
    return corrupt(found->file + ": " + name + " is " + toText(found->dtype) +
                   ", weights must be F32, F16 or BF16");
  }
  return std::nullopt;
}

}  // namespace

std::vector<TensorSpec> expectedTensors(const ModelSpec& spec) {
  std::vector<TensorSpec> all;
  all.push_back({"model.embed_tokens.weight",
                 {spec.vocabulary, spec.hidden},
                 TensorCut::VOCABULARY_ROWS,
                 TensorHome::FIRST_STAGE,
                 0,
                 {}});
  for (uint64_t i = 0; i < spec.layers; ++i) {
    LayerTensors layer(all, i);
    layer.add("input_layernorm.weight", {spec.hidden}, TensorCut::REPLICATED);
    addAttention(layer, spec);
    layer.add("post_attention_layernorm.weight", {spec.hidden}, TensorCut::REPLICATED);
    spec.experts > 0 ? addExperts(layer, spec) : addFeedForward(layer, spec);
  }
  all.push_back(
      {"model.norm.weight", {spec.hidden}, TensorCut::REPLICATED, TensorHome::LAST_STAGE, 0, {}});
  if (!spec.tiedEmbeddings) {
    all.push_back({"lm_head.weight",
                   {spec.vocabulary, spec.hidden},
                   TensorCut::VOCABULARY_ROWS,
                   TensorHome::LAST_STAGE,
                   0,
                   {}});
  }
  return all;
}

Result<ModelSpec> readModelSpec(std::string_view configJson,
                                const std::vector<TensorInfo>& tensors) {
  auto parsed = parseModelConfig(configJson);
  if (!parsed) return parsed.refusal();
  ModelSpec spec = std::move(*parsed);

  std::map<std::string_view, const TensorInfo*> unclaimed;
  for (const auto& tensor : tensors) unclaimed.emplace(tensor.name, &tensor);
  for (const auto& wanted : expectedTensors(spec)) {
    auto found = unclaimed.find(wanted.name);
    const TensorInfo* info = found == unclaimed.end() ? nullptr : found->second;
    if (auto refusal = checkTensor(wanted, info)) return *refusal;
    if (wanted.home == TensorHome::FIRST_STAGE) spec.dtype = info->dtype;
    unclaimed.erase(found);
  }
  for (const auto& [name, tensor] : unclaimed) {
    if (!mayBeLeftOut(spec, tensor->name)) {
      return Refusal{RefusalCode::MODEL_CONFIG_INVALID,
                     tensor->file + ": tensor " + inQuotes(name) + " is not part of " +
                         spec.architecture + " as config.json describes it"};
    }
    spec.unusedTensors.emplace_back(name);
  }
  return spec;
}

std::string whyNotStageCut(const ModelSpec& spec, StageCut cut) {
  const uint32_t tensor = cut.tensor;
  std::string tp = "tp " + std::to_string(tensor);
  if (tensor == 0) return tp + " is no size";
  if (spec.heads % tensor != 0) {
    return tp + " does not divide " + std::to_string(spec.heads) + " attention heads";
  }
  if (spec.kvHeads % tensor != 0 && tensor % spec.kvHeads != 0) {
    return tp + " neither divides " + std::to_string(spec.kvHeads) +
           " key/value heads nor is a multiple of them";
  }
  if (auto why = whyNotExpertSize(spec, cut); !why.empty()) return why;
  if (spec.intermediate % cut.ranksOfExpert() != 0) {
    return tp + " does not divide the feed-forward width " + std::to_string(spec.intermediate);
  }
  uint64_t rows = (spec.vocabulary + tensor - 1) / tensor;
  if (rows * (tensor - 1) >= spec.vocabulary) {
    return tp + " leaves ranks without rows of a vocabulary of " + std::to_string(spec.vocabulary);
  }
  return {};
}

std::vector<uint32_t> allowedTensorSizes(const ModelSpec& spec, uint32_t expert) {
  std::vector<uint32_t> sizes;
  for (uint32_t tensor = 1; tensor <= spec.heads; ++tensor) {
    if (whyNotStageCut(spec, {tensor, expert}).empty()) sizes.push_back(tensor);
  }
  return sizes;
}

}  // namespace muster::sharding

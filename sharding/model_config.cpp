// config.json to ModelSpec: which fields each family has, and what an absent one means.
#include "sharding/json.h"
#include "sharding/model_spec.h"
#include "sharding/text.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <numeric>

namespace muster::sharding {
namespace {

using nlohmann::json;

constexpr uint64_t CONFIG_BYTES_MAX = 4'000'000;
constexpr int CONFIG_DEPTH_MAX = 32;

struct Architecture {
  std::string_view name;       // in "architectures"
  std::string_view modelType;  // in "model_type", for configs that name no architecture
  Family family;
};
constexpr Architecture ARCHITECTURES[] = {
    {"LlamaForCausalLM", "llama", Family::LLAMA},
    {"MistralForCausalLM", "mistral", Family::MISTRAL},
    {"Qwen2ForCausalLM", "qwen2", Family::QWEN2},
    {"Qwen3ForCausalLM", "qwen3", Family::QWEN3},
    {"MixtralForCausalLM", "mixtral", Family::MIXTRAL},
};

// Far above any model, and low enough that no product of two of them and an element size overflows.
constexpr uint64_t VOCABULARY_MAX = 1u << 24;
constexpr uint64_t WIDTH_MAX = 1u << 22;
constexpr uint64_t LAYERS_MAX = 1u << 14;
constexpr uint64_t POSITIONS_MAX = 1ull << 32;
constexpr uint64_t EXPERTS_MAX = 1u << 12;

Refusal invalid(const std::string& text) {
  return {RefusalCode::MODEL_CONFIG_INVALID, "config.json: " + text};
}

// Reads fields and keeps the first refusal, so that the list of fields below stays a list.
class Fields {
 public:
  explicit Fields(const json& config) : config_(config) {}
  std::optional<Refusal> refusal;

  // Absent and null are the same: exporters write both.
  const json* find(const char* name) const {
    auto field = config_.find(name);
    return field == config_.end() || field->is_null() ? nullptr : &*field;
  }

  std::optional<uint64_t> countIfThere(const char* name, uint64_t max) {
    const json* field = find(name);
    if (field == nullptr) return std::nullopt;
    uint64_t value = field->is_number_unsigned() ? field->get<uint64_t>() : 0;
    if (value >= 1 && value <= max) return value;
    refuse(std::string(name) + " is " + inQuotes(field->dump()) + ", a whole number from 1 to " +
           std::to_string(max) + " is wanted");
    return std::nullopt;
  }

  uint64_t count(const char* name, uint64_t max) {
    auto value = countIfThere(name, max);
    if (!value) refuse(std::string(name) + " is missing");
    return value.value_or(1);
  }

  bool flag(const char* name, bool otherwise) {
    const json* field = find(name);
    if (field == nullptr) return otherwise;
    if (!field->is_boolean()) {
      refuse(std::string(name) + " is " + inQuotes(field->dump()) + ", true or false is wanted");
    }
    return field->is_boolean() ? field->get<bool>() : otherwise;
  }

  double positive(const json* field, const char* name, double otherwise) {
    if (field == nullptr || field->is_null()) return otherwise;
    double value = field->is_number() ? field->get<double>() : 0;
    if (value > 0 && std::isfinite(value)) return value;
    refuse(std::string(name) + " is " + inQuotes(field->dump()) + ", a number above 0 is wanted");
    return otherwise;
  }

  void refuse(const std::string& text) {
    if (!refusal) refusal = invalid(text);
  }

 private:
  const json& config_;
};

std::string supportedNames() {
  std::vector<std::string> names;
  for (const auto& row : ARCHITECTURES) names.emplace_back(row.name);
  return listText(names);
}

// What the config calls itself: its first architecture, or its model type.
Result<const Architecture*> findArchitecture(const json& config) {
  std::string name;
  std::string modelType;
  auto list = config.find("architectures");
  if (list != config.end() && list->is_array() && !list->empty() && list->front().is_string()) {
    name = list->front().get<std::string>();
  }
  if (auto field = config.find("model_type"); field != config.end() && field->is_string()) {
    modelType = field->get<std::string>();
  }
  for (const auto& row : ARCHITECTURES) {
    if (name.empty() ? row.modelType == modelType : row.name == name) return &row;
  }
  if (name.empty() && modelType.empty()) {
    return Refusal{
        RefusalCode::MODEL_ARCHITECTURE_UNKNOWN,
        "config.json names neither architectures nor model_type; supported: " + supportedNames()};
  }
  return Refusal{RefusalCode::MODEL_ARCHITECTURE_UNKNOWN,
                 "architecture " + inQuotes(name.empty() ? modelType : name) +
                     " is unknown; supported: " + supportedNames()};
}

// Rope settings stand at the top, or since 2025 together under rope_parameters.
void readRope(Fields& fields, ModelSpec& spec) {
  const json* theta = fields.find("rope_theta");
  const json* scaling = fields.find("rope_scaling");
  if (const json* parameters = fields.find("rope_parameters"); parameters != nullptr) {
    if (!parameters->is_object()) return fields.refuse("rope_parameters is not an object");
    if (theta == nullptr && parameters->contains("rope_theta"))
      theta = &(*parameters)["rope_theta"];
    bool plain = parameters->value("rope_type", json("default")) == json("default");
    if (scaling == nullptr && !plain) scaling = parameters;
  }
  spec.ropeTheta = fields.positive(theta, "rope_theta", 10'000);
  if (scaling == nullptr) return;
  if (!scaling->is_object()) return fields.refuse("rope_scaling is not an object");
  spec.ropeScaling = scaling->dump();
}

void readExperts(Fields& fields, ModelSpec& spec) {
  spec.experts = fields.count("num_local_experts", EXPERTS_MAX);
  spec.expertsPerToken = fields.count("num_experts_per_tok", EXPERTS_MAX);
  if (spec.expertsPerToken > spec.experts) {
    fields.refuse("num_experts_per_tok " + std::to_string(spec.expertsPerToken) +
                  " is more than num_local_experts " + std::to_string(spec.experts));
  }
}

// Biases, norms and windows: where the families differ.
void readFamilyRules(Fields& fields, ModelSpec& spec) {
  bool attentionBias = fields.flag("attention_bias", false);
  switch (spec.family) {
    case Family::LLAMA:
      spec.qkvBias = spec.outputBias = attentionBias;
      spec.mlpBias = fields.flag("mlp_bias", false);
      break;
    case Family::MISTRAL:
      spec.slidingWindow = fields.countIfThere("sliding_window", POSITIONS_MAX);
      break;
    case Family::QWEN2:
      spec.qkvBias = true;  // always, no field says so
      break;
    case Family::QWEN3:
      spec.qkvBias = spec.outputBias = attentionBias;
      spec.qkNorm = true;
      break;
    case Family::MIXTRAL:
      spec.slidingWindow = fields.countIfThere("sliding_window", POSITIONS_MAX);
      readExperts(fields, spec);
      break;
  }
}

void readSizes(Fields& fields, ModelSpec& spec) {
  spec.vocabulary = fields.count("vocab_size", VOCABULARY_MAX);
  spec.hidden = fields.count("hidden_size", WIDTH_MAX);
  spec.intermediate = fields.count("intermediate_size", WIDTH_MAX);
  spec.layers = fields.count("num_hidden_layers", LAYERS_MAX);
  spec.heads = fields.count("num_attention_heads", 1u << 16);
  spec.positions = fields.count("max_position_embeddings", POSITIONS_MAX);
  // Only the first Llama had as many key/value heads as heads without saying so.
  spec.kvHeads = fields.countIfThere("num_key_value_heads", 1u << 16).value_or(spec.heads);
  if (spec.family != Family::LLAMA && fields.find("num_key_value_heads") == nullptr) {
    fields.refuse("num_key_value_heads is missing");
  }
  auto headSize = fields.countIfThere("head_dim", 1u << 16);
  if (!headSize && spec.family == Family::QWEN3) headSize = 128;
  if (!headSize && spec.hidden % spec.heads != 0) {
    fields.refuse("hidden_size " + std::to_string(spec.hidden) + " is not a multiple of " +
                  std::to_string(spec.heads) + " heads, and head_dim is missing");
  }
  spec.headSize = headSize.value_or(spec.hidden / spec.heads);
  if (spec.heads * spec.headSize > WIDTH_MAX) {
    fields.refuse(std::to_string(spec.heads) + " heads of " + std::to_string(spec.headSize) +
                  " are wider than " + std::to_string(WIDTH_MAX));
  }
  if (spec.heads % spec.kvHeads != 0) {
    fields.refuse("num_attention_heads " + std::to_string(spec.heads) +
                  " is not a multiple of num_key_value_heads " + std::to_string(spec.kvHeads));
  }
}

Dtype configDtype(const Fields& fields) {
  const json* field = fields.find("torch_dtype");
  if (field == nullptr) field = fields.find("dtype");
  if (field == nullptr || !field->is_string()) return Dtype::BF16;
  auto name = field->get<std::string>();
  return name == "float32" ? Dtype::F32 : name == "float16" ? Dtype::F16 : Dtype::BF16;
}

uint64_t countParameters(const ModelSpec& spec) {
  uint64_t total = 0;
  // Layers are alike: one is counted and multiplied, so that a config alone cannot make us build a
  // huge list.
  ModelSpec oneLayer = spec;
  oneLayer.layers = 1;
  for (const auto& tensor : expectedTensors(oneLayer)) {
    uint64_t elements =
        std::accumulate(tensor.shape.begin(), tensor.shape.end(), uint64_t{1}, std::multiplies<>());
    total += tensor.home == TensorHome::LAYER ? elements * spec.layers : elements;
  }
  return total;
}

}  // namespace

Result<ModelSpec> parseModelConfig(std::string_view configJson) {
  auto config = parseJsonObject(configJson, {"config.json", RefusalCode::MODEL_CONFIG_INVALID,
                                             CONFIG_BYTES_MAX, CONFIG_DEPTH_MAX});
  if (!config) return config.refusal();
  auto architecture = findArchitecture(*config);
  if (!architecture) return architecture.refusal();

  Fields fields(*config);
  if (fields.find("quantization_config") != nullptr) {
    return Refusal{RefusalCode::NOT_SUPPORTED_YET,
                   "config.json: quantization_config: quantised models are not supported yet"};
  }
  ModelSpec spec;
  spec.family = (*architecture)->family;
  spec.architecture = std::string((*architecture)->name);
  readSizes(fields, spec);
  readRope(fields, spec);
  readFamilyRules(fields, spec);
  spec.normEpsilon = fields.positive(fields.find("rms_norm_eps"), "rms_norm_eps", 1e-6);
  spec.tiedEmbeddings = fields.flag("tie_word_embeddings", false);
  spec.dtype = configDtype(fields);
  const json* act = fields.find("hidden_act");
  if (act != nullptr && *act != json("silu")) {
    fields.refuse("hidden_act is " + inQuotes(act->dump()) + ", \"silu\" is wanted");
  }
  if (fields.refusal) return *fields.refusal;
  spec.parameters = countParameters(spec);
  return spec;
}

}  // namespace muster::sharding

#include "tests/sharding/model_builder.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <numeric>
#include <sstream>

namespace muster::sharding::test {

std::string readConfig(const std::string& name) {
  std::ifstream file(std::string(MUSTER_SOURCE_DIR) + "/tests/sharding/configs/" + name + ".json");
  KJ_REQUIRE(file.good(), "no such config", name.c_str());
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

const std::vector<std::string>& denseConfigs() {
  static const std::vector<std::string> NAMES{
      "llama-2-7b",    "llama-2-70b",    "llama-30b",    "llama-3.1-8b",
      "llama-3.1-70b", "llama-3.1-405b", "llama-3.2-3b", "qwen2.5-3b",
      "qwen2.5-7b",    "qwen2.5-14b",    "qwen2.5-32b",  "qwen2.5-72b-instruct",
      "qwen3-0.6b",    "qwen3-8b",       "qwen3-14b",    "qwen3-32b"};
  return NAMES;
}

std::string tinyConfig(const std::string& extraFields) {
  return R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
    "intermediate_size": 96, "num_hidden_layers": 4, "num_attention_heads": 8,
    "num_key_value_heads": 4, "vocab_size": 103, "max_position_embeddings": 512)" +
         (extraFields.empty() ? "" : ", " + extraFields) + "}";
}

std::vector<TensorInfo> tensorsOf(const ModelSpec& spec, uint32_t files, Dtype dtype) {
  auto wanted = expectedTensors(spec);
  std::vector<uint64_t> end(files, 1000);
  std::vector<TensorInfo> tensors;
  for (size_t i = 0; i < wanted.size(); ++i) {
    size_t file = i * files / wanted.size();
    uint64_t bytes = std::accumulate(wanted[i].shape.begin(), wanted[i].shape.end(),
                                     uint64_t{bytesPerElement(dtype)}, std::multiplies<>());
    auto fileName = "model-" + std::to_string(file + 1) + ".safetensors";
    tensors.push_back({wanted[i].name, dtype, wanted[i].shape, fileName, end[file], bytes});
    end[file] += bytes;
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  return tensors;
}

ModelSpec specOf(const std::string& configJson) {
  auto spec = parseModelConfig(configJson);
  return std::move(*spec);
}

ModelManifest manifestOf(const std::string& configJson) {
  ModelManifest manifest;
  manifest.source = "file:/models/test";
  manifest.digest = "00000000000000000000000000000000";
  manifest.configJson = configJson;
  manifest.tensors = tensorsOf(specOf(configJson));
  return manifest;
}

}  // namespace muster::sharding::test

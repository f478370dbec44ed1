#include "tests/support/tiny_model.h"

#include "sharding/shard_map.h"
#include "worker/engine/native/element_math.h"

#include <kj/debug.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>

namespace muster::testing {
namespace {

// Numbers in [0, 1) that follow from a name; models.py says the same in Python.
class NamedNumbers {
 public:
  explicit NamedNumbers(const std::string& name) {
    for (unsigned char byte : name) start_ = (start_ ^ byte) * 0x100000001b3;
  }
  double operator[](uint64_t index) const {
    uint64_t z = start_ + index + 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return static_cast<double>((z ^ (z >> 31)) >> 40) * 0x1p-24;
  }

 private:
  uint64_t start_ = 0xcbf29ce484222325;
};

std::vector<float> valuesOf(const TensorInfo& tensor) {
  const uint64_t rows = tensor.shape[0];
  const uint64_t columns = tensor.shape.back();
  const NamedNumbers numbers(tensor.name);
  const NamedNumbers rowNumbers(tensor.name + ".row");
  const bool isNorm = tensor.name.ends_with("norm.weight");
  const bool isBias = tensor.name.ends_with(".bias");
  const bool isVocabulary = tensor.name.find("embed_tokens") != std::string::npos ||
                            tensor.name.find("lm_head") != std::string::npos;
  std::vector<float> values;
  const uint64_t count = tensor.shape.size() == 1 ? rows : rows * columns;
  for (uint64_t i = 0; i < count; ++i) {
    double v = 2 * numbers[i] - 1;
    if (isNorm || isBias) {
      v = isNorm ? 1 + v * 0.25 : v * 0.25;
    } else {
      v *= std::sqrt(3.0 / static_cast<double>(columns));
      if (isVocabulary) v *= 1 + 15 * std::pow(rowNumbers[i / columns], 6);
    }
    values.push_back(static_cast<float>(v));
  }
  return values;
}

std::vector<std::byte> bytesOf(const TensorInfo& tensor) {
  auto values = valuesOf(tensor);
  std::vector<std::byte> bytes(tensor.bytes);
  if (tensor.dtype == Dtype::F32) {
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t bits = tensor.dtype == Dtype::F16 ? worker::floatToHalf(values[i])
                                               : worker::floatToBfloat(values[i]);
    std::memcpy(bytes.data() + i * sizeof bits, &bits, sizeof bits);
  }
  return bytes;
}

Dtype storedDtype(Rounding rounding) {
  if (rounding == Rounding::BF16) return Dtype::BF16;
  return rounding == Rounding::F16 ? Dtype::F16 : Dtype::F32;
}

}  // namespace

std::string toText(Rounding rounding) {
  switch (rounding) {
    case Rounding::F32:
      return "f32";
    case Rounding::BF16:
      return "bf16";
    case Rounding::F16:
      return "f16";
    case Rounding::INT8:
      return "int8";
  }
  KJ_FAIL_ASSERT("rounding beyond its enumeration", static_cast<int>(rounding));
}

std::vector<Rounding> allRoundings() {
  return {Rounding::F32, Rounding::BF16, Rounding::F16, Rounding::INT8};
}

const std::vector<std::string>& tinyModelNames() {
  static const std::vector<std::string> NAMES{"llama2", "llama3",     "llama-biased", "mistral",
                                              "qwen2",  "qwen2-yarn", "qwen3",        "mixtral"};
  return NAMES;
}

TinyModel readTinyModel(const std::string& name, Rounding rounding) {
  std::string path = std::string(MUSTER_SOURCE_DIR) + "/tests/worker/engine/golden/" + name + "." +
                     toText(rounding) + ".json";
  std::ifstream file(path);
  KJ_REQUIRE(file.good(), "no such fixture", path.c_str());
  auto json = nlohmann::json::parse(file);
  TinyModel model{.name = name, .configJson = json.at("config").dump(), .rounding = rounding};
  auto spec = sharding::parseModelConfig(model.configJson);
  if (!spec) KJ_FAIL_REQUIRE("a bad config", spec.refusal().text.c_str());
  model.spec = std::move(*spec);
  model.spec.dtype = storedDtype(rounding);
  json.at("tokens").get_to(model.tokens);
  json.at("logits").get_to(model.logits);
  return model;
}

std::vector<TensorInfo> tensorsOf(const TinyModel& model) {
  std::vector<TensorInfo> tensors;
  for (const auto& wanted : sharding::expectedTensors(model.spec)) {
    uint64_t bytes = bytesPerElement(model.spec.dtype);
    for (uint64_t length : wanted.shape) bytes *= length;
    tensors.push_back({wanted.name, model.spec.dtype, wanted.shape, "model.safetensors", 0, bytes});
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  uint64_t offset = 1024;  // a header's room
  for (auto& tensor : tensors) {
    tensor.offset = offset;
    offset += tensor.bytes;
  }
  return tensors;
}

std::vector<worker::LoadedSlice> slicesOf(const TinyModel& model, const ShardPlan& plan,
                                          uint32_t rank) {
  auto tensors = tensorsOf(model);
  auto shard = sharding::cutRank(model.spec, tensors, plan, rank);
  if (!shard) KJ_FAIL_REQUIRE("the model cannot be cut so", shard.refusal().text.c_str());
  std::vector<worker::LoadedSlice> loaded;
  for (auto& slice : shard->slices) {
    auto tensor = std::find_if(tensors.begin(), tensors.end(),
                               [&](const TensorInfo& info) { return info.name == slice.tensor; });
    auto whole = bytesOf(*tensor);
    worker::AlignedBytes bytes(slice.bytes);
    for (uint64_t row = 0; row < slice.rows; ++row) {
      std::memcpy(bytes.data() + row * slice.rowBytes,
                  whole.data() + (slice.offset - tensor->offset) + row * slice.stride,
                  slice.rowBytes);
    }
    loaded.push_back({std::move(slice), std::move(bytes), 0});
  }
  return loaded;
}

ShardPlan planOf(const TinyModel& model, uint32_t tensor, uint32_t pipeline) {
  return {.tensor = tensor,
          .pipeline = pipeline,
          .stageFirstLayer = sharding::balancedStages(model.spec.layers, pipeline),
          .format = model.rounding == Rounding::INT8 ? WeightFormat::INT8 : WeightFormat::STORED};
}

}  // namespace muster::testing

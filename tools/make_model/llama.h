// The Llama that is made: its sizes, its config.json and the tensors it consists of.
#pragma once

#include "base/result.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace muster::sample {

enum class Dtype : uint8_t { BF16, F16, F32 };

// The defaults are about 100 million parameters that divide by tensor parallel 1, 2 and 4.
struct Llama {
  uint32_t hidden = 768;
  uint32_t layers = 12;
  uint32_t heads = 12;
  uint32_t kvHeads = 4;
  uint32_t intermediate = 2048;
  uint32_t vocab = 16000;
  Dtype dtype = Dtype::BF16;
  bool operator==(const Llama&) const = default;
};

// `scale`: standard deviation of the normal weights; 0 means that every weight is 1 (norms).
struct Tensor {
  std::string name;
  std::vector<uint64_t> shape;
  double scale = 0;

  uint64_t elements() const;
};

uint64_t bytesPerElement(Dtype dtype);
std::string_view safetensorsName(Dtype dtype);  // "BF16"
Result<Dtype> parseDtype(std::string_view text);

// Refuses INVALID_VALUE when a size is 0 or the heads do not divide the sizes they cut.
Result<Done> check(const Llama& llama);

// In the order in which they lie in the files: embedding, layers, final norm, output head.
std::vector<Tensor> tensorsOf(const Llama& llama);

nlohmann::ordered_json configOf(const Llama& llama);

}  // namespace muster::sample

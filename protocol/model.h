// What a worker found when it inspected a model. The leader logs it and plans from it only.
#pragma once

#include "base/ids.h"
#include "base/units.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muster {

enum class Dtype : uint8_t { F32, F16, BF16, F64, I8, U8, I16, I32, I64, BOOL, F8_E4M3, F8_E5M2 };

uint32_t bytesPerElement(Dtype dtype);
std::string toText(Dtype dtype);                         // as safetensors spells it: "BF16"
std::optional<Dtype> parseDtype(std::string_view text);  // nothing for a spelling we do not know

// One tensor as the safetensors header names it.
struct TensorInfo {
  std::string name;
  Dtype dtype = Dtype::BF16;
  std::vector<uint64_t> shape;
  std::string file;     // relative to the model's directory
  uint64_t offset = 0;  // of the first byte, absolute in the file
  uint64_t bytes = 0;
  bool operator==(const TensorInfo&) const = default;
};

struct ModelFile {
  std::string name;  // relative to the model's directory
  Bytes size;
  std::string headerDigest;  // XXH3-128 of the safetensors header, 32 hex digits
  bool operator==(const ModelFile&) const = default;
};

struct ModelManifest {
  std::string source;            // as the deployment says it: "file:/models/sample"
  std::string digest;            // XXH3-128 over config.json and every header digest, 32 hex digits
  std::string configJson;        // the bytes of config.json
  std::vector<ModelFile> files;  // sorted by name
  std::vector<TensorInfo> tensors;  // sorted by name
  NodeName inspectedBy;
  bool operator==(const ModelManifest&) const = default;
};

}  // namespace muster

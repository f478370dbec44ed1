// The JSON of a safetensors header, read without building a document: a header may have 100 MB.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace muster::sharding {

// One tensor exactly as the header has it, unchecked.
struct RawTensor {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;
  uint64_t begin = 0;  // data_offsets, relative to the end of the header
  uint64_t end = 0;
};

struct RawHeader {
  std::vector<RawTensor> tensors;  // in the order of the header, names unique
  std::map<std::string, std::string> metadata;
};

// Refuses MODEL_FILE_CORRUPT, without the file's name, when the text is not JSON of the header's
// form.
Result<RawHeader> parseHeaderJson(std::string_view text);

}  // namespace muster::sharding

// Writes a model directory in the layout of Hugging Face: config.json, safetensors files, their
// index.
#pragma once

#include "tools/make_model/llama.h"

#include <filesystem>
#include <span>

namespace muster::sample {

// One safetensors file: neighbours in the list of tensors, whose data lie without gaps.
struct FilePlan {
  std::string name;  // "model-00001-of-00002.safetensors"
  std::span<const Tensor> tensors;
  size_t firstTensor = 0;  // the place of tensors[0] in the whole list
};

// Cuts the list into `files` runs of about equal bytes, none empty.
// Refuses INVALID_VALUE when `files` is 0 or exceeds the number of tensors.
Result<std::vector<FilePlan>> cutIntoFiles(std::span<const Tensor> tensors, uint32_t files);

// The file's first bytes: a length of 8 bytes and JSON padded with spaces to a multiple of 8.
std::string safetensorsHeader(std::span<const Tensor> tensors, Dtype dtype);

struct Written {
  uint64_t parameters = 0;
  uint64_t bytes = 0;  // of all weights
};

// Makes the directory `out`. Refuses INVALID_VALUE when it exists and is not empty, or the shape is
// impossible. The same shape, number of files and seed give the same bytes. It is made under
// another name beside `out` and then renamed, so `out` is whole or absent. Throws a kj::Exception
// when the disk fails. One thread per file.
Result<Written> writeModel(const std::filesystem::path& out, const Llama& llama, uint32_t files,
                           uint64_t seed);

}  // namespace muster::sample

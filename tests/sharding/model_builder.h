// Model configs and headers made up for tests.
#pragma once

#include "protocol/model.h"
#include "sharding/model_spec.h"

#include <string>
#include <vector>

namespace muster::sharding::test {

// The bytes of tests/sharding/configs/NAME.json.
std::string readConfig(const std::string& name);

// Names of all configs there that are dense models of a supported architecture.
const std::vector<std::string>& denseConfigs();

// A small Llama: 4 layers, hidden 64, 8 heads of 8, 4 key/value heads, feed-forward 96, vocabulary
// 103.
std::string tinyConfig(const std::string& extraFields = "");

// The tensors of the architecture as `files` safetensors files of equal numbers of tensors would
// hold them, packed after a header of 1000 bytes. Sorted by name.
std::vector<TensorInfo> tensorsOf(const ModelSpec& spec, uint32_t files = 2,
                                  Dtype dtype = Dtype::BF16);

// The spec of a config that is known to be good.
ModelSpec specOf(const std::string& configJson);

// A manifest as a worker would send it.
ModelManifest manifestOf(const std::string& configJson);

}  // namespace muster::sharding::test

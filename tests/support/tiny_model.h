// Tiny random models of each architecture, their weights and the logits that an independent
// reference (tests/support/reference/) computed for them.
#pragma once

#include "protocol/plan.h"
#include "sharding/model_spec.h"
#include "worker/engine/native/slice_load.h"

#include <string>
#include <vector>

namespace muster::testing {

enum class Rounding : uint8_t { F32, BF16, F16, INT8 };  // INT8: of what is stored as F32

std::string toText(Rounding rounding);
std::vector<Rounding> allRoundings();

struct TinyModel {
  std::string name;
  std::string configJson;
  sharding::ModelSpec spec;  // its dtype is the stored one
  Rounding rounding = Rounding::F32;
  std::vector<uint32_t> tokens;
  std::vector<std::vector<float>> logits;  // the reference's; shape [tokens][vocabulary]
};

// Names of all of them: "llama2", ...
const std::vector<std::string>& tinyModelNames();

// tests/worker/engine/golden/NAME.ROUNDING.json.
TinyModel readTinyModel(const std::string& name, Rounding rounding);

// The tensors as one safetensors file would hold them, sorted by name.
std::vector<TensorInfo> tensorsOf(const TinyModel& model);

// What a rank would load, made without a file. `plan`: tensor, pipeline and stageFirstLayer count.
std::vector<worker::LoadedSlice> slicesOf(const TinyModel& model, const ShardPlan& plan,
                                          uint32_t rank);

// A plan with balanced stages.
ShardPlan planOf(const TinyModel& model, uint32_t tensor, uint32_t pipeline);

}  // namespace muster::testing

// One file for each; engine_preset.cpp lists them.
#pragma once

#include "protocol/engine_preset.h"

namespace muster::presets {

extern const EnginePreset VLLM;
extern const EnginePreset SGLANG;
extern const EnginePreset LLAMA_CPP;
extern const EnginePreset TORCHRUN;

}  // namespace muster::presets

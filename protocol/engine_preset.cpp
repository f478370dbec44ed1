#include "protocol/engine_preset.h"

#include "protocol/presets/presets.h"

#include <algorithm>
#include <array>

namespace muster {
namespace {

constexpr std::array<const EnginePreset*, 4> PRESETS{&presets::VLLM, &presets::SGLANG,
                                                     &presets::LLAMA_CPP, &presets::TORCHRUN};

}  // namespace

std::span<const EnginePreset* const> enginePresets() { return PRESETS; }

const EnginePreset* findPreset(EngineKind kind) {
  auto found = std::ranges::find(PRESETS, kind, &EnginePreset::kind);
  return found == PRESETS.end() ? nullptr : *found;
}

ProcessShare processShare(EngineKind kind) {
  const EnginePreset* preset = findPreset(kind);
  return preset == nullptr ? ProcessShare::DEVICE : preset->share;
}

DeviceNeed deviceNeedOf(EngineKind kind) {
  const EnginePreset* preset = findPreset(kind);
  return preset == nullptr ? DeviceNeed::ANY : preset->devices;
}

Meeting meetingOf(EngineKind kind) {
  const EnginePreset* preset = findPreset(kind);
  return preset == nullptr ? Meeting::HEAD : preset->meeting;
}

std::string_view toText(EngineKind kind) {
  if (kind == EngineKind::NATIVE) return "native";
  const EnginePreset* preset = findPreset(kind);
  return preset == nullptr ? "process" : preset->name;
}

std::optional<EngineKind> engineKindOf(std::string_view name) {
  if (name == "native") return EngineKind::NATIVE;
  if (name == "process") return EngineKind::PROCESS;
  auto found = std::ranges::find(PRESETS, name, &EnginePreset::name);
  if (found == PRESETS.end()) return std::nullopt;
  return (*found)->kind;
}

}  // namespace muster

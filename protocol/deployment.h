// A deployment as its owner wrote it, after every check of the YAML; `muster explain deployment`
// names the fields.
#pragma once

#include "base/ids.h"
#include "base/units.h"
#include "protocol/balance.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace muster {

struct ModelSource {
  std::string source;  // "file:/models/sample"
  std::string revision;
  std::string sha256;
  std::string dtype;
  std::optional<uint64_t> maxContext;  // tokens
  std::vector<std::string> aliases;    // other names that gateways answer to
  bool operator==(const ModelSource&) const = default;
};

// Presets are processes whose command line Muster writes; protocol/engine_preset.h has them.
enum class EngineKind : uint8_t { NATIVE, PROCESS, VLLM, SGLANG, LLAMA_CPP, TORCHRUN };

// Everything but the native engine: a program that owns its devices.
constexpr bool isProcess(EngineKind kind) { return kind != EngineKind::NATIVE; }

// When a rank of a process engine counts as ready; with neither, as soon as it runs.
struct ReadyProbe {
  std::optional<std::string> httpPath;  // answered with 2xx on the rank's port
  std::optional<std::string> logLine;   // a substring of a line of its output
  std::optional<Duration> timeout;
  bool operator==(const ReadyProbe&) const = default;
};

struct EngineSpec {
  EngineKind kind = EngineKind::NATIVE;
  std::string version;
  std::map<std::string, std::string> args;
  std::map<std::string, std::string> env;
  // process: the program and its arguments. Presets: see EnginePreset::command.
  std::vector<std::string> command;
  ReadyProbe ready;
  bool operator==(const EngineSpec&) const = default;
};

struct GpuRequirement {
  std::vector<std::string> types;  // any of these; empty: any
  Bytes memoryMin;
  std::string link;  // "nvlink", or empty
  bool operator==(const GpuRequirement&) const = default;
};

// What the owner fixed; what is absent is the planner's to choose.
struct ParallelRequest {
  std::optional<uint32_t> tensor;    // tp
  std::optional<uint32_t> pipeline;  // pp
  std::optional<uint32_t> expert;    // ep
  bool operator==(const ParallelRequest&) const = default;
};

// Consecutive layers, counted from 0; the last is among them.
struct LayerRange {
  uint32_t first = 0;
  uint32_t last = 0;
  bool operator==(const LayerRange&) const = default;
};

// One stage of a pipeline that the owner cuts.
struct StageRequest {
  GpuRequirement gpu;                // in the place of the deployment's; no link
  std::optional<uint32_t> tensor;    // tp; the same in all stages that say it
  std::optional<LayerRange> layers;  // nothing: a part of what the stages with a range leave
  bool operator==(const StageRequest&) const = default;
};

enum class Spread : uint8_t { NODE, RACK };
enum class Fabric : uint8_t { PREFERRED, REQUIRED };

struct PlacementRules {
  std::string pool;
  std::vector<NodeName> nodes;  // only these; empty: any
  std::vector<NodeName> exclude;
  std::optional<Spread> spread;
  std::optional<Fabric> fabric;
  bool tpWithinNode = false;
  bool operator==(const PlacementRules&) const = default;
};

struct Timeouts {
  Duration ready = 30_min;
  Duration stall = 2_min;
  Duration drain = 2_min;
  bool operator==(const Timeouts&) const = default;
};

struct DeploymentSpec {
  TenantName tenant{"default"};
  DeploymentName name;
  ModelSource model;
  EngineSpec engine;
  std::optional<uint32_t> gpus;  // of one replica; nothing: auto
  GpuRequirement gpu;
  ParallelRequest parallel;
  std::vector<StageRequest> stages;  // in their order; empty: cut as `parallel` says
  uint32_t replicas = 1;
  PlacementRules placement;
  Timeouts timeouts;
  std::optional<Balance> balance;  // nothing: as the gateway is configured
  bool operator==(const DeploymentSpec&) const = default;
};

// The sizes that the owner fixed, in `parallel` or by `stages`: the two do not contradict each
// other.
inline ParallelRequest parallelOf(const DeploymentSpec& spec) {
  ParallelRequest fixed = spec.parallel;
  if (!spec.stages.empty()) fixed.pipeline = static_cast<uint32_t>(spec.stages.size());
  for (const auto& stage : spec.stages) {
    if (!fixed.tensor) fixed.tensor = stage.tensor;
  }
  return fixed;
}

// What the GPUs of one stage must be: what it says itself, else what the deployment says.
inline GpuRequirement gpuOfStage(const DeploymentSpec& spec, uint32_t stage) {
  GpuRequirement gpu = spec.gpu;
  if (stage >= spec.stages.size()) return gpu;
  const GpuRequirement& own = spec.stages[stage].gpu;
  if (!own.types.empty()) gpu.types = own.types;
  if (own.memoryMin > Bytes{}) gpu.memoryMin = own.memoryMin;
  return gpu;
}

// What a change of a field does to running ranks. IN_PLACE: those that haveSameRanks() passes over.
enum class ChangeEffect : uint8_t { IN_PLACE, RESTARTS_RANKS };

// Whether the ranks of one serve the other as well, so that a change is made in place: they differ
// at most in what no rank is told.
inline bool haveSameRanks(const DeploymentSpec& a, DeploymentSpec b) {
  b.replicas = a.replicas;
  b.balance = a.balance;
  b.model.aliases = a.model.aliases;
  return a == b;
}

}  // namespace muster

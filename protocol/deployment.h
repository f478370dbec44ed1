// A deployment as its owner wrote it, after every check of the YAML; `muster explain deployment`
// names the fields.
#pragma once

#include "base/ids.h"
#include "base/units.h"

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
  std::vector<std::string> aliases;
  bool operator==(const ModelSource&) const = default;
};

enum class EngineKind : uint8_t { NATIVE, PROCESS };

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
  std::vector<std::string> command;  // process: the program and its arguments
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
  bool operator==(const ParallelRequest&) const = default;
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
  uint32_t replicas = 1;
  PlacementRules placement;
  Timeouts timeouts;
  bool operator==(const DeploymentSpec&) const = default;
};

}  // namespace muster

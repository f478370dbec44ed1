#include "protocol/deployment_checks.h"

#include "protocol/engine_preset.h"

#include <algorithm>

namespace muster {
namespace {

class Checks {
 public:
  Checks(FieldReader& reader, const YamlNode& document, const std::string& label,
         const DeploymentSpec& spec)
      : reader_(reader), document_(document), label_(label), spec_(spec) {}

  void run() {
    checkGpus();
    checkStageCount();
    checkStageTensor();
    const YamlNode* engine = document_.find("engine");
    if (engine != nullptr && isProcess(spec_.engine.kind)) {
      checkProcess(*engine);
    } else if (engine != nullptr && !isRefusedKind(*engine)) {
      checkNative(*engine);
    }
    checkNodes();
  }

 private:
  void report(const YamlNode& node, std::string path, std::string message, std::string hint,
              RefusalCode code = RefusalCode::INVALID_VALUE) {
    reader_.enter(label_, std::move(path));
    reader_.report(code, node.at, std::move(message), std::move(hint));
  }

  // gpus = tp x pp (dp is 1); with one of them left to the planner, a multiple of the other.
  void checkGpus() {
    const YamlNode* node = document_.find("gpus");
    if (node == nullptr || !spec_.gpus) return;
    const ParallelRequest parallel = parallelOf(spec_);
    uint64_t tensor = parallel.tensor.value_or(1);
    uint64_t pipeline = parallel.pipeline.value_or(1);
    uint64_t product = tensor * pipeline;
    bool exact = parallel.tensor && parallel.pipeline;
    if (exact ? *spec_.gpus == product : *spec_.gpus % product == 0) return;
    std::string sizes = parallel.tensor ? "tp " + std::to_string(tensor) : "";
    if (exact) sizes += " x ";
    if (parallel.pipeline) sizes += "pp " + std::to_string(pipeline);
    std::string wanted =
        exact ? sizes + " is " + std::to_string(product) : "no multiple of " + sizes;
    report(*node, "gpus",
           "gpus is " + std::to_string(*spec_.gpus) + ", but " +
               (exact ? wanted : "that is " + wanted),
           exact ? "write gpus: " + std::to_string(product) + ", or leave gpus out" : "");
  }

  void checkStageCount() {
    const auto& pipeline = spec_.parallel.pipeline;
    size_t count = spec_.stages.size();
    if (count == 0 || !pipeline || *pipeline == count) return;
    report(
        *document_.find("parallel")->find("pp"), "parallel.pp",
        "parallel.pp is " + std::to_string(*pipeline) + ", but stages has " + std::to_string(count),
        "leave pp out: stages replaces it");
  }

  // tp is the same wherever it is said.
  void checkStageTensor() {
    std::optional<uint32_t> before = spec_.parallel.tensor;
    bool isParallels = before.has_value();
    for (size_t i = 0; i < spec_.stages.size(); ++i) {
      const auto& tensor = spec_.stages[i].tensor;
      if (!tensor) continue;
      if (before && *before != *tensor) {
        return reportTensor(
            i, (isParallels ? "parallel.tp is " : "another stage has ") + std::to_string(*before));
      }
      before = tensor;
    }
  }

  void reportTensor(size_t stage, const std::string& other) {
    const YamlNode& entry = document_.find("stages")->items[stage];
    std::string path = "stages[" + std::to_string(stage) + "].tp";
    std::string message = path + " is " + entry.find("tp")->text + ", but " + other;
    if (spec_.parallel.tensor) {
      report(*entry.find("tp"), path, message, "leave parallel.tp out");
    } else {
      report(*entry.find("tp"), path, message + ": unlike sizes are not supported yet",
             "write the same tp in all stages", RefusalCode::NOT_SUPPORTED_YET);
    }
  }

  void checkProcess(const YamlNode& engine) {
    const EnginePreset* preset = findPreset(spec_.engine.kind);
    bool needsCommand = preset == nullptr || preset->needsCommand;
    if (needsCommand && engine.find("command") == nullptr) {
      std::string kind(toText(spec_.engine.kind));
      report(engine, "engine.command", "engine " + kind + " of " + label_ + " has no command",
             "write engine: {kind: " + kind + ", command: [PROGRAM, ARGUMENT]}",
             RefusalCode::MISSING_FIELD);
    }
    refuseOfNative("model", "dtype", !spec_.model.dtype.empty());
    refuseOfNative("parallel", "ep", spec_.parallel.expert.has_value());
    refuseStages();
    if (preset != nullptr) checkPreset(*preset);
    const auto& ready = spec_.engine.ready;
    if (ready.httpPath && ready.logLine) {
      report(*engine.find("ready"), "engine.ready", "engine.ready has both http and log",
             "keep one of them");
    }
  }

  // Another program would not be told.
  void refuseOfNative(const char* group, const char* field, bool given) {
    const YamlNode* node = given ? document_.find(group)->find(field) : nullptr;
    if (node == nullptr) return;
    std::string path = std::string(group) + "." + field;
    report(*node, path, path + " is for engine native only", "leave it out");
  }

  void refuseStages() {
    const YamlNode* stages = document_.find("stages");
    if (stages == nullptr || spec_.stages.empty()) return;
    report(*stages, "stages", "stages is for engine native only",
           "write parallel: {pp: " + std::to_string(spec_.stages.size()) +
               "} instead; the engine itself shares out the layers");
  }

  void checkPreset(const EnginePreset& preset) {
    const YamlNode* model = document_.find("model");
    bool hasModel = model != nullptr && !spec_.model.source.empty();
    if (hasModel && !spec_.model.source.ends_with(preset.modelSuffix)) {
      report(*model, "model",
             "engine " + std::string(preset.name) + " reads one file that ends in " +
                 std::string(preset.modelSuffix),
             "write model: " + spec_.model.source + "/NAME" + std::string(preset.modelSuffix));
    }
    bool cutsFiner = preset.layersOnly && spec_.parallel.tensor.value_or(1) > 1;
    const YamlNode* parallel = document_.find("parallel");
    if (cutsFiner && parallel != nullptr) {
      report(*parallel, "parallel.tp",
             "engine " + std::string(preset.name) + " shares out whole layers: tp is 1",
             "write pp: " + std::to_string(*spec_.parallel.tensor) + " instead of tp");
    }
  }

  // The native engine knows by itself when it is ready and takes no arguments in this version.
  void checkNative(const YamlNode& engine) {
    if (!spec_.engine.args.empty()) {
      report(*engine.find("args"), "engine.args",
             "arguments of the native engine are not supported yet", "leave args out",
             RefusalCode::NOT_SUPPORTED_YET);
    }
    for (std::string field : {"command", "ready"}) {
      const YamlNode* given = engine.find(field);
      if (given == nullptr) continue;
      report(*given, "engine." + field, "engine." + field + " is not for engine native",
             "write kind: process, or leave " + field + " out");
    }
  }

  // A kind that was refused says nothing about the other fields.
  static bool isRefusedKind(const YamlNode& engine) {
    const YamlNode* kind = engine.find("kind");
    return kind != nullptr && kind->text != "native";
  }

  void checkNodes() {
    const YamlNode* placement = document_.find("placement");
    if (placement == nullptr) return;
    const auto& rules = spec_.placement;
    for (const auto& node : rules.exclude) {
      if (std::ranges::find(rules.nodes, node) == rules.nodes.end()) continue;
      report(*placement, "placement", "node " + node.value + " is in both nodes and exclude",
             "keep it in one of them");
    }
  }

  FieldReader& reader_;
  const YamlNode& document_;
  const std::string& label_;
  const DeploymentSpec& spec_;
};

}  // namespace

void checkTogether(FieldReader& reader, const YamlNode& document, const std::string& label,
                   const DeploymentSpec& spec) {
  Checks(reader, document, label, spec).run();
}

}  // namespace muster

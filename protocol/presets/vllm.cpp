#include "protocol/presets/preset_words.h"
#include "protocol/presets/presets.h"

namespace muster::presets {
namespace {

// One process for each node drives the node's devices; the first one answers requests, the others
// run headless. Ranks are counted node by node, which keeps tensor groups as the planner placed
// them.
void launchVllm(const Assignment& assignment, const LaunchPlace& place, Launch& launch) {
  Words& words = launch.argv = program(assignment.engine, {"vllm"});
  words.emplace_back("serve");
  words.push_back(place.modelPath);
  addOption(words, "--served-model-name", assignment.deployment.value);
  addOption(words, "--tensor-parallel-size", std::to_string(assignment.plan.tensor));
  addOption(words, "--pipeline-parallel-size", std::to_string(assignment.plan.pipeline));
  bool isHead = assignment.ref.rank.value == 0;
  if (isHead) {
    addOption(words, "--host", ENGINE_HOST);
    addOption(words, "--port", place.port);
  }
  if (assignment.worldSize > 1) {
    addOption(words, "--distributed-executor-backend", "mp");
    addOption(words, "--nnodes", std::to_string(assignment.worldSize));
    addOption(words, "--node-rank", std::to_string(assignment.ref.rank.value));
    auto head = splitAddress(place.rendezvous);
    addOption(words, "--master-addr", head.host);
    addOption(words, "--master-port", head.port);
    if (!isHead) words.emplace_back("--headless");
  }
  addArguments(words, assignment.engine, ArgumentStyle::EQUALS_NEGATED);
  launch.env["VLLM_HOST_IP"] = place.address;
  launch.ready = probeOf(assignment, {.httpPath = "/health"});
}

}  // namespace

const EnginePreset VLLM{
    .kind = EngineKind::VLLM,
    .name = "vllm",
    .version = "0.12",
    .page =
        "https://github.com/vllm-project/vllm/blob/096bd6a4a109b13698ab85782cc1a3630aa002ee/docs/"
        "serving/parallelism_scaling.md",
    .devices = DeviceNeed::GPU,
    .share = ProcessShare::EQUAL,
    .meeting = Meeting::HEAD,
    .layersOnly = false,
    .command = "the program in the place of vllm",
    .needsCommand = false,
    .modelSuffix = "",
    .launch = &launchVllm,
};

}  // namespace muster::presets

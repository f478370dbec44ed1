#include "protocol/presets/preset_words.h"
#include "protocol/presets/presets.h"

namespace muster::presets {
namespace {

// One process for each node drives the node's devices; the first one answers requests.
void launchSglang(const Assignment& assignment, const LaunchPlace& place, Launch& launch) {
  Words& words = launch.argv =
      program(assignment.engine, {"python3", "-m", "sglang.launch_server"});
  addOption(words, "--model-path", place.modelPath);
  addOption(words, "--served-model-name", assignment.deployment.value);
  addOption(words, "--tp-size", std::to_string(assignment.plan.tensor));
  addOption(words, "--pp-size", std::to_string(assignment.plan.pipeline));
  addOption(words, "--host", ENGINE_HOST);
  addOption(words, "--port", place.port);
  if (assignment.worldSize > 1) {
    addOption(words, "--nnodes", std::to_string(assignment.worldSize));
    addOption(words, "--node-rank", std::to_string(assignment.ref.rank.value));
    addOption(words, "--dist-init-addr", place.rendezvous);
  }
  addArguments(words, assignment.engine, ArgumentStyle::EQUALS);
  launch.ready = probeOf(assignment, {.httpPath = "/health"});
}

}  // namespace

const EnginePreset SGLANG{
    .kind = EngineKind::SGLANG,
    .name = "sglang",
    .version = "0.5",
    .page =
        "https://github.com/sgl-project/sglang/blob/004813e1dd464844bd92ddbca5cab8c024a75f78/docs/"
        "advanced_features/server_arguments.md",
    .devices = DeviceNeed::GPU,
    .share = ProcessShare::EQUAL,
    .meeting = Meeting::HEAD,
    .layersOnly = false,
    .command = "the program in the place of python3 -m sglang.launch_server",
    .needsCommand = false,
    .modelSuffix = "",
    .launch = &launchSglang,
};

}  // namespace muster::presets

#include "protocol/presets/preset_words.h"
#include "protocol/presets/presets.h"

namespace muster::presets {
namespace {

// More layers than any model has: all of them go to the devices.
constexpr const char* ALL_LAYERS = "999";

// The first node runs the server. Every other one lends it its devices through an RPC server, which
// knows neither model nor cut; the server shares out the layers by the devices' memory.
void launchLlamaCpp(const Assignment& assignment, const LaunchPlace& place, Launch& launch) {
  Words& words = launch.argv;
  launch.ready = probeOf(assignment, {.httpPath = "/health"});
  if (assignment.ref.rank.value != 0) {
    words = {"rpc-server"};
    addOption(words, "--host", place.address);
    addOption(words, "--port", splitAddress(place.rendezvous).port);
    launch.isMet = true;  // the server gives up when one does not answer
    return;
  }
  words = program(assignment.engine, {"llama-server"});
  addOption(words, "--model", place.modelPath);
  addOption(words, "--alias", assignment.deployment.value);
  addOption(words, "--host", ENGINE_HOST);
  addOption(words, "--port", place.port);
  addOption(words, "--n-gpu-layers", ALL_LAYERS);
  addOption(words, "--split-mode", "layer");
  if (assignment.worldSize > 1) addOption(words, "--rpc", place.rendezvous);
  addArguments(words, assignment.engine, ArgumentStyle::WORDS);
}

}  // namespace

const EnginePreset LLAMA_CPP{
    .kind = EngineKind::LLAMA_CPP,
    .name = "llama.cpp",
    .version = "commit 038514c9",
    .page =
        "https://github.com/ggml-org/llama.cpp/blob/038514c97ad9744275d52a3a4ce7b396e3d86a69/tools/"
        "rpc/README.md",
    .devices = DeviceNeed::ANY,
    .share = ProcessShare::NODE,
    .meeting = Meeting::MEMBERS,
    .layersOnly = true,
    .command = "the program in the place of llama-server",
    .needsCommand = false,
    .modelSuffix = ".gguf",
    .launch = &launchLlamaCpp,
};

}  // namespace muster::presets

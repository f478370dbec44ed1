#include "protocol/presets/preset_words.h"
#include "protocol/presets/presets.h"

#include <algorithm>
#include <iterator>

namespace muster::presets {
namespace {

// One torchrun for each node starts the owner's script once for each device. The rendezvous is the
// static one: ranks keep the order of the nodes, which that of torchrun's own choice would not.
void launchTorchrun(const Assignment& assignment, const LaunchPlace& place, Launch& launch) {
  Words& words = launch.argv = {"torchrun"};
  auto head = splitAddress(place.rendezvous);
  addOption(words, "--nnodes", std::to_string(assignment.worldSize));
  addOption(words, "--nproc-per-node", std::to_string(assignment.devices.size()));
  addOption(words, "--node-rank", std::to_string(assignment.ref.rank.value));
  addOption(words, "--master-addr", head.host);
  addOption(words, "--master-port", head.port);
  addArguments(words, assignment.engine, ArgumentStyle::EQUALS);
  std::ranges::copy(assignment.engine.command, std::back_inserter(words));
  launch.ready = probeOf(assignment, {});
}

}  // namespace

const EnginePreset TORCHRUN{
    .kind = EngineKind::TORCHRUN,
    .name = "torchrun",
    .version = "2.9",
    .page = "https://docs.pytorch.org/docs/stable/elastic/run.html",
    .devices = DeviceNeed::ANY,
    .share = ProcessShare::EQUAL,
    .meeting = Meeting::HEAD,
    .layersOnly = false,
    .command = "the script and its arguments",
    .needsCommand = true,
    .modelSuffix = "",
    .launch = &launchTorchrun,
};

}  // namespace muster::presets

#include "protocol/launch.h"

#include "protocol/engine_preset.h"
#include "protocol/presets/preset_words.h"

#include <algorithm>

namespace muster {
namespace {

using Names = std::map<std::string, std::string>;

std::string joined(const std::vector<DeviceIndex>& devices) {
  std::string text;
  for (auto device : devices) text += (text.empty() ? "" : ",") + std::to_string(device.value);
  return text;
}

void addMusterNames(Names& names, const Assignment& assignment, const LaunchPlace& place) {
  names["MUSTER_TENANT"] = assignment.tenant.value;
  names["MUSTER_DEPLOYMENT"] = assignment.deployment.value;
  names["MUSTER_REPLICA"] = std::to_string(assignment.ref.replica.value);
  names["MUSTER_GENERATION"] = std::to_string(assignment.ref.generation.value);
  names["MUSTER_RANK"] = std::to_string(assignment.ref.rank.value);
  names["MUSTER_WORLD_SIZE"] = std::to_string(assignment.worldSize);
  names["MUSTER_RENDEZVOUS"] = place.rendezvous;
  names["MUSTER_DEVICES"] = joined(assignment.devices);
  names["MUSTER_MODEL_PATH"] = place.modelPath;
  names["MUSTER_ADDRESS"] = place.address;
  names["MUSTER_PORT"] = place.port;
  names["MUSTER_TENSOR_PARALLEL"] = std::to_string(assignment.plan.tensor);
  names["MUSTER_PIPELINE_PARALLEL"] = std::to_string(assignment.plan.pipeline);
  // By index, since vLLM takes no UUIDs; so CUDA must number GPUs as their driver does. A rank on
  // CPUs must not help itself to a GPU that its machine may have.
  bool hasGpus = place.devices == DeviceKind::GPU;
  names["CUDA_VISIBLE_DEVICES"] = hasGpus ? joined(assignment.devices) : "";
  names["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID";
}

// What torchrun would have told the process: it sees its own device only.
void addTorchNames(Names& names, const Assignment& assignment, const LaunchPlace& place) {
  names["RANK"] = std::to_string(assignment.ref.rank.value);
  names["WORLD_SIZE"] = std::to_string(assignment.worldSize);
  names["LOCAL_RANK"] = "0";
  names["LOCAL_WORLD_SIZE"] = "1";
  auto meeting = presets::splitAddress(place.rendezvous);
  names["MASTER_ADDR"] = meeting.host;
  names["MASTER_PORT"] = meeting.port;
}

void launchCommand(const Assignment& assignment, const LaunchPlace& place, Launch& launch) {
  const EngineSpec& engine = assignment.engine;
  launch.argv = engine.command;
  for (const auto& [name, value] : engine.args) presets::addEquals(launch.argv, name, value);
  addTorchNames(launch.env, assignment, place);
  launch.ready = engine.ready;
}

}  // namespace

DeviceKind kindOf(const std::vector<DeviceInfo>& node, const std::vector<DeviceIndex>& devices) {
  bool anyGpu = std::ranges::any_of(node, [&](const DeviceInfo& device) {
    return isGpu(device) && std::ranges::count(devices, device.index) > 0;
  });
  return anyGpu ? DeviceKind::GPU : DeviceKind::CPU;
}

Launch launchOf(const Assignment& assignment, const LaunchPlace& place) {
  Launch launch{.argv = {},
                .env = {{"PATH", "/usr/local/bin:/usr/bin:/bin"}, {"LANG", "C.UTF-8"}},
                .ready = {},
                .isMet = false};
  for (const auto& [name, value] : assignment.engine.env) launch.env[name] = value;
  addMusterNames(launch.env, assignment, place);
  const EnginePreset* preset = findPreset(assignment.engine.kind);
  auto fill = preset == nullptr ? &launchCommand : preset->launch;
  fill(assignment, place, launch);
  return launch;
}

}  // namespace muster

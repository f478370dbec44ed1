#include "worker/engine/process/process_environment.h"

#include <map>

namespace muster::worker {
namespace {

std::string joined(const std::vector<DeviceIndex>& devices) {
  std::string text;
  for (auto device : devices) text += (text.empty() ? "" : ",") + std::to_string(device.value);
  return text;
}

}  // namespace

std::vector<std::string> processEnvironment(const Assignment& assignment,
                                            const ProcessPlace& place) {
  std::map<std::string, std::string> names{{"PATH", "/usr/local/bin:/usr/bin:/bin"},
                                           {"LANG", "C.UTF-8"}};
  for (const auto& [name, value] : assignment.engine.env) names[name] = value;

  auto colon = place.rendezvous.rfind(':');
  std::string host = place.rendezvous.substr(0, colon);
  std::string port = colon == std::string::npos ? "" : place.rendezvous.substr(colon + 1);
  std::string rank = std::to_string(assignment.ref.rank.value);
  std::string worldSize = std::to_string(assignment.worldSize);

  names["MUSTER_TENANT"] = assignment.tenant.value;
  names["MUSTER_DEPLOYMENT"] = assignment.deployment.value;
  names["MUSTER_REPLICA"] = std::to_string(assignment.ref.replica.value);
  names["MUSTER_GENERATION"] = std::to_string(assignment.ref.generation.value);
  names["MUSTER_RANK"] = rank;
  names["MUSTER_WORLD_SIZE"] = worldSize;
  names["MUSTER_RENDEZVOUS"] = place.rendezvous;
  names["MUSTER_DEVICES"] = joined(assignment.devices);
  names["MUSTER_MODEL_PATH"] = place.modelPath;
  names["MUSTER_ADDRESS"] = place.address;
  names["MUSTER_PORT"] = std::to_string(place.port);
  names["MUSTER_TENSOR_PARALLEL"] = std::to_string(assignment.plan.tensor);
  names["MUSTER_PIPELINE_PARALLEL"] = std::to_string(assignment.plan.pipeline);
  // torchrun's names.
  names["RANK"] = rank;
  names["WORLD_SIZE"] = worldSize;
  names["LOCAL_RANK"] = "0";  // each process sees its own devices only
  names["LOCAL_WORLD_SIZE"] = "1";
  names["MASTER_ADDR"] = host;
  names["MASTER_PORT"] = port;
  names["CUDA_VISIBLE_DEVICES"] = joined(assignment.devices);

  std::vector<std::string> environment;
  for (const auto& [name, value] : names) environment.push_back(name + "=" + value);
  return environment;
}

std::vector<std::string> processCommand(const EngineSpec& engine) {
  auto command = engine.command;
  for (const auto& [name, value] : engine.args) command.push_back("--" + name + "=" + value);
  return command;
}

}  // namespace muster::worker

#include "cli/local_cluster/local_plan.h"

#include "base/files.h"
#include "base/free_ports.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <filesystem>

namespace muster::cli {
namespace {

using nlohmann::json;

constexpr uint16_t FIRST_HTTP_PORT = 7400;
constexpr uint16_t GATEWAY_PORT = 7402;
constexpr Bytes PLAN_BYTES_MAX = 1_MiB;
constexpr std::array<std::string_view, 4> ROLES = {"zookeeper", "coordinator", "worker", "gateway"};

Refusal wrong(std::string text) {
  return {
      .code = RefusalCode::INVALID_VALUE, .text = std::move(text), .fixes = {"muster up --help"}};
}

Result<Done> checkCounts(const UpOptions& options) {
  struct Count {
    const char* flag;
    std::optional<uint32_t> value;
    uint32_t most;
  };
  for (const auto& count :
       {Count{"--zookeepers", options.zookeepers, 9},
        Count{"--coordinators", options.coordinators, 9}, Count{"--workers", options.workers, 64},
        Count{"--devices", options.devices, 64}}) {
    if (count.value && (*count.value == 0 || *count.value > count.most)) {
      return wrong(std::string(count.flag) + " " + std::to_string(*count.value) +
                   " is out of range: 1 to " + std::to_string(count.most));
    }
  }
  if (options.zookeepers && *options.zookeepers % 2 == 0) {
    return wrong("--zookeepers " + std::to_string(*options.zookeepers) +
                 " makes no better quorum than one less; give an odd number");
  }
  for (const auto& role : options.restartRoles) {
    if (std::find(ROLES.begin(), ROLES.end(), role) == ROLES.end()) {
      return wrong("--restart does not know the role \"" + role + "\"");
    }
  }
  return Done{};
}

std::vector<std::string> absolutePaths(const std::vector<std::string>& paths) {
  std::vector<std::string> out;
  for (const auto& path : paths) {
    out.push_back(std::filesystem::absolute(path).lexically_normal().string());
  }
  return out;
}

void drawZookeepers(LocalPlan& plan, uint32_t count, FreePorts& ports) {
  for (uint32_t i = 1; i <= count; ++i) {
    LocalZookeeper server{.id = "zk" + std::to_string(i), .clientPort = ports.any()};
    if (count > 1) {
      server.quorumPort = ports.any();
      server.electionPort = ports.any();
    }
    plan.zookeepers.push_back(server);
  }
}

}  // namespace

bool hasFirstPort(const LocalPlan& plan) {
  auto takes = [](uint16_t port) {
    return [port](const auto& one) { return one.httpPort == port; };
  };
  return std::any_of(plan.coordinators.begin(), plan.coordinators.end(), takes(FIRST_HTTP_PORT)) ||
         std::any_of(plan.gateways.begin(), plan.gateways.end(), takes(GATEWAY_PORT));
}

std::vector<PlannedPort> portsOf(const LocalPlan& plan) {
  std::vector<PlannedPort> ports;
  for (const auto& one : plan.zookeepers) {
    ports.push_back({one.id, one.clientPort});
    if (plan.zookeepers.size() == 1) continue;
    ports.push_back({one.id, one.quorumPort});
    ports.push_back({one.id, one.electionPort});
  }
  for (const auto& one : plan.coordinators) {
    ports.push_back({one.id, one.rpcPort});
    ports.push_back({one.id, one.httpPort});
  }
  for (const auto& one : plan.gateways) ports.push_back({one.id, one.httpPort});
  return ports;
}

Result<LocalPlan> drawPlan(const UpOptions& options, const LocalLayout& layout, FreePorts& ports,
                           FirstPort firstPort) {
  auto counts = checkCounts(options);
  if (!counts) return counts.refusal();
  bool mayTakeFirst = firstPort == FirstPort::OURS_IF_FREE;
  LocalPlan plan;
  drawZookeepers(plan, options.zookeepers.value_or(1), ports);
  for (uint32_t i = 1; i <= options.coordinators.value_or(3); ++i) {
    plan.coordinators.push_back(
        {.id = "co" + std::to_string(i),
         .rpcPort = ports.any(),
         .httpPort = mayTakeFirst && i == 1 ? ports.preferred(FIRST_HTTP_PORT) : ports.any()});
  }
  for (uint32_t i = 1; i <= options.workers.value_or(4); ++i) {
    plan.workers.push_back("w" + std::to_string(i));
  }
  plan.gateways.push_back(
      {.id = "gw1", .httpPort = mayTakeFirst ? ports.preferred(GATEWAY_PORT) : ports.any()});
  plan.devices = options.devices.value_or(2);
  plan.deviceType = options.deviceType.value_or(plan.deviceType);
  plan.deviceMemory = options.deviceMemory.value_or(4_GiB);
  plan.models = options.models.empty() ? std::vector<std::string>{layout.defaultModels()}
                                       : absolutePaths(options.models);
  plan.restartRoles = options.restartRoles.empty()
                          ? std::vector<std::string>{"zookeeper", "coordinator", "gateway"}
                          : options.restartRoles;
  return plan;
}

Result<Done> checkSamePlan(const UpOptions& options, const LocalPlan& plan) {
  auto differs = [](const char* flag, auto given, auto has) -> std::optional<Refusal> {
    if (!given || *given == has) return std::nullopt;
    return wrong(std::string(flag) +
                 " differs from the cluster that is there; stop it and remove its directory for "
                 "another one");
  };
  for (const auto& refusal :
       {differs("--zookeepers", options.zookeepers, static_cast<uint32_t>(plan.zookeepers.size())),
        differs("--coordinators", options.coordinators,
                static_cast<uint32_t>(plan.coordinators.size())),
        differs("--workers", options.workers, static_cast<uint32_t>(plan.workers.size())),
        differs("--devices", options.devices, plan.devices),
        differs("--device-type", options.deviceType, plan.deviceType),
        differs("--device-memory", options.deviceMemory, plan.deviceMemory)}) {
    if (refusal) return *refusal;
  }
  if (!options.models.empty() && absolutePaths(options.models) != plan.models) {
    return wrong("--models differs from the cluster that is there");
  }
  return Done{};
}

std::string toJson(const LocalPlan& plan) {
  json zookeepers = json::array();
  for (const auto& one : plan.zookeepers) {
    zookeepers.push_back({{"id", one.id},
                          {"client_port", one.clientPort},
                          {"quorum_port", one.quorumPort},
                          {"election_port", one.electionPort}});
  }
  json coordinators = json::array();
  for (const auto& one : plan.coordinators) {
    coordinators.push_back(
        {{"id", one.id}, {"rpc_port", one.rpcPort}, {"http_port", one.httpPort}});
  }
  json gateways = json::array();
  for (const auto& one : plan.gateways) {
    gateways.push_back({{"id", one.id}, {"http_port", one.httpPort}});
  }
  json out = {{"version", 1},
              {"cluster", plan.cluster.value},
              {"zookeepers", zookeepers},
              {"coordinators", coordinators},
              {"workers", plan.workers},
              {"gateways", gateways},
              {"devices", plan.devices},
              {"device_type", plan.deviceType},
              {"device_memory_bytes", plan.deviceMemory.count},
              {"models", plan.models},
              {"restart", plan.restartRoles}};
  return out.dump(2) + "\n";
}

Result<LocalPlan> parsePlan(const std::string& text) {
  try {
    json in = json::parse(text);
    LocalPlan plan;
    plan.cluster = {in.at("cluster").get<std::string>()};
    for (const auto& one : in.at("zookeepers")) {
      plan.zookeepers.push_back(
          {one.at("id"), one.at("client_port"), one.at("quorum_port"), one.at("election_port")});
    }
    for (const auto& one : in.at("coordinators")) {
      plan.coordinators.push_back({one.at("id"), one.at("rpc_port"), one.at("http_port")});
    }
    plan.workers = in.at("workers").get<std::vector<std::string>>();
    for (const auto& one : in.value("gateways", json::array())) {
      plan.gateways.push_back({one.at("id"), one.at("http_port")});
    }
    plan.devices = in.at("devices");
    plan.deviceType = in.value("device_type", plan.deviceType);
    plan.deviceMemory = {in.at("device_memory_bytes")};
    plan.models = in.at("models").get<std::vector<std::string>>();
    plan.restartRoles = in.at("restart").get<std::vector<std::string>>();
    return plan;
  } catch (const json::exception& error) {
    return Refusal{RefusalCode::INVALID_SYNTAX,
                   std::string("local.json is not what `muster up` wrote: ") + error.what()};
  }
}

Result<std::optional<LocalPlan>> loadPlan(const LocalLayout& layout) {
  auto text = readFile(layout.planFile(), PLAN_BYTES_MAX);
  if (!text && text.refusal().code == RefusalCode::NOT_FOUND) return std::optional<LocalPlan>();
  if (!text) return text.refusal();
  auto plan = parsePlan(*text);
  if (!plan) return plan.refusal();
  return std::optional(*plan);
}

}  // namespace muster::cli

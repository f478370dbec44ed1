// What a local cluster consists of: decided once, kept in local.json, the same at every resume.
#pragma once

#include "base/free_ports.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/units.h"
#include "cli/local_cluster/layout.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace muster::cli {

// What the user asked of `muster up`; what is absent has its default.
struct UpOptions {
  std::string directory;  // empty: $XDG_STATE_HOME/muster/local
  std::optional<uint32_t> zookeepers;
  std::optional<uint32_t> coordinators;
  std::optional<uint32_t> workers;
  std::optional<uint32_t> devices;        // of each worker
  std::optional<std::string> deviceType;  // of each device
  std::optional<Bytes> deviceMemory;      // of each device
  std::vector<std::string> models;        // model roots
  std::vector<std::string> restartRoles;  // empty: zookeeper, coordinator, gateway
  bool detach = false;
  bool supervise = false;  // this process is the supervisor itself
};

struct LocalZookeeper {
  std::string id;  // "zk1"
  uint16_t clientPort = 0;
  uint16_t quorumPort = 0;  // 0 for a server of its own
  uint16_t electionPort = 0;
  bool operator==(const LocalZookeeper&) const = default;
};

struct LocalCoordinator {
  std::string id;  // "co1"
  uint16_t rpcPort = 0;
  uint16_t httpPort = 0;
  bool operator==(const LocalCoordinator&) const = default;
};

struct LocalGateway {
  std::string id;  // "gw1"
  uint16_t httpPort = 0;
  bool operator==(const LocalGateway&) const = default;
};

struct LocalPlan {
  ClusterName cluster{"local"};
  std::vector<LocalZookeeper> zookeepers;
  std::vector<LocalCoordinator> coordinators;
  std::vector<std::string> workers;    // "w1"
  std::vector<LocalGateway> gateways;  // empty in a cluster that was made without
  uint32_t devices = 2;
  std::string deviceType = "cpu";
  Bytes deviceMemory = 4_GiB;
  std::vector<std::string> models;
  std::vector<std::string> restartRoles;
  bool operator==(const LocalPlan&) const = default;
};

inline constexpr const char* LOCAL_HOST = "127.0.0.1";
inline std::string localAddress(uint16_t port) {
  return std::string(LOCAL_HOST) + ":" + std::to_string(port);
}

// Who may take the documented ports, if they are free.
enum class FirstPort : uint8_t { OURS_IF_FREE, LEAVE };

// Whether it took one of the documented HTTP ports.
bool hasFirstPort(const LocalPlan& plan);

// Draws a plan with free ports: 7400 for the first coordinator's HTTP and 7402 for the gateway's if
// they are free, others for the rest; `ports` holds them. Refuses INVALID_VALUE for counts that
// make no cluster and for unknown roles.
Result<LocalPlan> drawPlan(const UpOptions& options, const LocalLayout& layout, FreePorts& ports,
                           FirstPort firstPort = FirstPort::OURS_IF_FREE);

struct PlannedPort {
  std::string id;  // whose it is: "co1"
  uint16_t port = 0;
};
std::vector<PlannedPort> portsOf(const LocalPlan& plan);

// Refuses INVALID_VALUE, naming the option, when one was given that differs from the plan of an
// existing cluster.
Result<Done> checkSamePlan(const UpOptions& options, const LocalPlan& plan);

std::string toJson(const LocalPlan& plan);
Result<LocalPlan> parsePlan(const std::string& json);

// Nothing when there is no cluster in that directory.
Result<std::optional<LocalPlan>> loadPlan(const LocalLayout& layout);

}  // namespace muster::cli

// What a rank of a process engine is started with: its command line and environment, and how one
// sees that it is ready. Pure: the agent starts it, a plan shows it.
#pragma once

#include "protocol/node.h"
#include "protocol/order.h"

#include <map>
#include <string>
#include <vector>

namespace muster {

// Where an engine takes requests: on loopback, since it speaks without TLS. The proxy of its rank
// stands before it.
inline constexpr const char* ENGINE_HOST = "127.0.0.1";

// What a rank's devices are.
enum class DeviceKind : uint8_t { CPU, GPU };

// Of these devices of a node. A device that it does not list counts as a CPU.
DeviceKind kindOf(const std::vector<DeviceInfo>& node, const std::vector<DeviceIndex>& devices);

// Where a rank runs. Texts, since a plan names what is only known once the rank starts.
struct LaunchPlace {
  std::string address;    // of this node
  std::string port;       // the rank's own HTTP port on ENGINE_HOST, chosen by the agent
  std::string modelPath;  // resolved; empty when the deployment has no local model
  // Where the group meets, as "host:port"; for the first rank of a MEMBERS preset a list of these.
  std::string rendezvous;
  DeviceKind devices = DeviceKind::CPU;
};

struct Launch {
  std::vector<std::string> argv;
  std::map<std::string, std::string> env;
  ReadyProbe ready;
  bool isMet = false;  // ready, and told to the group, once its rendezvous takes connections
  bool operator==(const Launch&) const = default;
};

// For the engine `process`: `engine.command`, then `engine.args` as --name=value, sorted by name;
// for a preset, what the preset makes of plan and place, then `engine.args`. The environment is the
// owner's `engine.env` with Muster's names over it.
Launch launchOf(const Assignment& assignment, const LaunchPlace& place);

}  // namespace muster

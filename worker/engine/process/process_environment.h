// What a program of the process engine finds in its environment. Pure.
#pragma once

#include "protocol/order.h"

#include <cstdint>
#include <string>
#include <vector>

namespace muster::worker {

struct ProcessPlace {
  std::string address;     // of this node
  uint16_t port = 0;       // the rank's own HTTP port, chosen by the agent
  std::string modelPath;   // resolved; empty when the deployment has no local model
  std::string rendezvous;  // "host:port"
};

// The complete environment as "NAME=value", sorted: the owner's `engine.env`, MUSTER_* and
// torchrun's names. Muster's own names win.
std::vector<std::string> processEnvironment(const Assignment& assignment,
                                            const ProcessPlace& place);

// The command line: `engine.command`, then `engine.args` as --name=value, sorted by name.
std::vector<std::string> processCommand(const EngineSpec& engine);

}  // namespace muster::worker

// Whether the daemons that are configured on this machine listen where their files say.
#pragma once

#include "cli/doctor/check.h"

#include <cstdint>
#include <set>
#include <string>

namespace muster::cli {

// Ports at which somebody on this machine listens.
std::set<uint16_t> listeningPorts();

// One line for each port of coordinator.toml, gateway.toml and worker.toml in that folder. A key
// that is empty opens no port, and one whose port is 0 takes any: of these nothing is said. A file
// that may not be read is a warning; of one that is wrong `--check-config` tells more.
Checks checkPorts(const std::string& configFolder,
                  const std::set<uint16_t>& listening = listeningPorts());

}  // namespace muster::cli

// ZooKeeper servers on this machine: what their zoo.cfg and their command line say that no
// four-letter word tells.
#pragma once

#include "cli/doctor/check.h"

#include <string>
#include <vector>

namespace muster::cli {

struct ZookeeperProcess {
  std::vector<std::string> arguments;
  std::string file;  // its zoo.cfg
  std::string text;  // of that file
};

// Pure. One line for a server whose settings are as wanted, else one for each that is not.
Checks checkZookeeperFile(const ZookeeperProcess& process);

// Where its clients reach it without TLS, as IP address and port; empty when they do not.
std::string clientAddress(const ZookeeperProcess& process);

// The running servers whose files we may read. `processes`: the folder of the kernel's process
// table.
std::vector<ZookeeperProcess> zookeepersHere(const std::string& processes = "/proc");

}  // namespace muster::cli

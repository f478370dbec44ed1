// This machine, as a part of the cluster. Blocks for as long as it looks: a second per door that
// does not answer.
#pragma once

#include "base/clock.h"
#include "cli/doctor/check.h"

#include <cstdint>
#include <string>
#include <vector>

namespace muster::cli {

struct MachinePaths {
  std::string config = "/etc/muster";
  std::string data = "/var/lib/muster";
  std::string zookeeperData = "/var/lib/muster-zookeeper";
};

// Certificates in `folder` that have ended or end within 30 days.
Checks checkCertificates(const std::string& folder, WallTime now);
// Free space of the file system of `folder`; nothing when there is no such folder.
Checks checkDisk(const std::string& folder);
// Whether the kernel's clock is kept by a time service.
Checks checkClock();
// That a daemon which is configured here listens.
Checks checkPorts(const std::string& configFolder);
// The servers behind the loopback doors of muster-zookeeper-tunnel.service.
Checks checkZookeeper(const std::vector<uint16_t>& ports);
// Programs on NVIDIA GPUs that are no ranks.
Checks checkGpus();

Checks checkMachine(const MachinePaths& paths, WallTime now);

}  // namespace muster::cli

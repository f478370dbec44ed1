// This machine, as a part of the cluster. Blocks for as long as it looks: two seconds per ZooKeeper
// server that does not answer.
#pragma once

#include "base/clock.h"
#include "base/units.h"
#include "cli/doctor/check.h"
#include "cli/doctor/zookeeper_checks.h"

#include <string>
#include <vector>

namespace muster::cli {

struct MachinePaths {
  std::string config = "/etc/muster";
  std::string zookeeperConfig = "/etc/muster-zookeeper";
  std::string data = "/var/lib/muster";
  std::string zookeeperData = "/var/lib/muster-zookeeper";
};

// Free space of the file system of `folder`; nothing when there is no such folder.
Checks checkDisk(const std::string& folder);

enum class TimeService { NONE, THERE };
struct ClockState {
  TimeService service = TimeService::NONE;
  Duration errorMax;  // how far the clock may be off, as the time service says
};
// What the kernel says of its clock.
ClockState readClock();
Checks checkClock(const ClockState& clock);
// Asks each server, one after the other, for itself and for what it knows of the others.
// `addresses`: IP addresses and ports, also of the loopback doors of
// muster-zookeeper-tunnel.service. Whether they are one ensemble is judged only where
// coordinator.toml names them.
Checks checkZookeepers(const std::vector<std::string>& addresses, const ZookeeperWanted& wanted);
// Programs on NVIDIA GPUs that are no ranks.
Checks checkGpus();

// All of the above. ZooKeeper's servers are those of coordinator.toml; without such a file those
// that run here, and whoever listens at 127.0.0.1:2181 to 2187.
Checks checkMachine(const MachinePaths& paths, WallTime now);

}  // namespace muster::cli

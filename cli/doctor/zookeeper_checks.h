// One ZooKeeper server, judged: health, version and settings. Pure.
//
// What is wanted follows from failover: sessions of a second, which a server grants from 2 to 20 of
// its ticks; a frozen leading server that the others leave within seconds; versions that are
// tested.
#pragma once

#include "base/units.h"
#include "cli/doctor/check.h"
#include "cli/doctor/remedies.h"
#include "cli/doctor/zookeeper_answers.h"

#include <string>

namespace muster::cli {

struct ZookeeperWanted {
  Duration session = 1_s;  // `zookeeper.session_timeout` of the coordinators
  size_t servers = 0;      // that coordinator.toml names; 0: it does not say
  Remedies remedies = {};  // of those who run the servers
};

// A server that is well is one line; each thing that is wrong with it is one more.
Checks checkZookeeperServer(const ZookeeperServer& server, const ZookeeperWanted& wanted);

// What the findings say to do about a setting: `line` of zoo.cfg, and the variable of the playbooks
// that writes it (empty: none does).
std::string zookeeperFix(const std::string& line, const std::string& variable = "");

}  // namespace muster::cli

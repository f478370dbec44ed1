// The ZooKeeper servers together, judged: whether they are one ensemble, of a sound size, alike and
// in step. Pure.
#pragma once

#include "cli/doctor/check.h"
#include "cli/doctor/zookeeper_answers.h"
#include "cli/doctor/zookeeper_checks.h"

#include <vector>

namespace muster::cli {

// Findings only, and one line when there is none. Nothing at all for no server.
Checks checkZookeeperEnsemble(const std::vector<ZookeeperServer>& servers,
                              const ZookeeperWanted& wanted);

}  // namespace muster::cli

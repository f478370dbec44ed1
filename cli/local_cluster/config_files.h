// Writes what the processes of a local cluster read: configuration, certificates, secrets, the
// admin's context.
#pragma once

#include "base/random.h"
#include "base/result.h"
#include "cli/local_cluster/layout.h"
#include "cli/local_cluster/local_plan.h"

#include <string>
#include <vector>

namespace muster::cli {

// What `local_plan` and the files come to as text. Pure.
std::string coordinatorToml(const LocalPlan& plan, const LocalLayout& layout, size_t which);
std::string workerToml(const LocalPlan& plan, const LocalLayout& layout, size_t which);
std::string gatewayToml(const LocalPlan& plan, const LocalLayout& layout, size_t which);
std::string contextToml(const LocalPlan& plan, const LocalLayout& layout);

// Makes the directory of a new cluster: folders, CA and certificates, the ZooKeeper digest, every
// configuration and, last, local.json, whose presence says that the rest is whole. Refuses
// DISK_FULL.
Result<Done> writeNewCluster(const LocalPlan& plan, const LocalLayout& layout, Random& random);

// Addresses of the ZooKeeper servers, "127.0.0.1:2181".
std::vector<std::string> zookeeperAddresses(const LocalPlan& plan);

}  // namespace muster::cli

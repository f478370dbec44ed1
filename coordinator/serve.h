// What muster-coordinator does, with the real things outside. Each function returns the process's
// exit code and throws what main reports.
#pragma once

#include "coordinator/config.h"
#include "failover/zookeeper.h"

#include <string>

namespace muster::coordinator {

// Until SIGTERM or SIGINT; then hands over and returns 0.
int serve(const CoordinatorConfig& config);
// Makes the tree of the cluster in the coordination service; says so when it is there already.
int bootstrapCluster(const CoordinatorConfig& config);
// The audit family of a store, opened read-only, as JSON lines on stdout. `directory`: data_dir, or
// the store in it.
int printStore(const std::string& directory);

// What every action that reaches the coordination service begins with.
// Throws a text that names the key and the file for each file that cannot be read.
void checkFiles(const CoordinatorConfig& config);
failover::ZookeeperOptions zookeeperOptions(const CoordinatorConfig& config);
void makeFolder(const std::string& path);

}  // namespace muster::coordinator

// cluster.json: which processes a local cluster has now, for scripts and for the next supervisor.
#pragma once

#include "base/process.h"
#include "base/result.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace muster::cli {

struct LocalProcess {
  std::string role;  // "zookeeper", "coordinator", "worker", "gateway", "supervisor"
  std::string id;
  ProcessId process;
  std::map<std::string, std::string> addresses;  // "rpc", "http", "client"
  std::string log;
  bool operator==(const LocalProcess&) const = default;
};

struct ClusterFile {
  std::string cluster;
  std::vector<std::string> zookeeper;  // addresses
  std::vector<LocalProcess> processes;
  bool operator==(const ClusterFile&) const = default;
};

std::string toJson(const ClusterFile& file);
Result<ClusterFile> parseClusterFile(const std::string& json);

// Whether that very process runs, and not another that got its pid.
bool isRunning(const LocalProcess& process);
bool anyRuns(const ClusterFile& file);

// Nothing when the file is not there.
Result<std::optional<ClusterFile>> loadClusterFile(const std::string& path);

}  // namespace muster::cli

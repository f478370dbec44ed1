#include "cli/local_cluster/local_doctor.h"

#include "cli/doctor/certificate_checks.h"
#include "cli/doctor/machine_checks.h"
#include "cli/doctor/zookeeper_files.h"
#include "cli/local_cluster/cluster_file.h"

#include <algorithm>
#include <filesystem>
#include <iterator>

namespace muster::cli {
namespace {

void append(Checks& all, Checks more) {
  std::move(more.begin(), more.end(), std::back_inserter(all));
}

Check checkProcess(const LocalProcess& process, const Remedies& remedies) {
  std::string subject = "process " + process.id;
  std::string pid = "pid " + std::to_string(process.process.pid);
  if (isRunning(process)) return {Verdict::OK, subject, "runs, " + pid, ""};
  std::string fix = remedies.away("", process.id);
  if (process.role != "supervisor") return {Verdict::FAILED, subject, "does not run", fix};
  return {Verdict::FAILED, subject, "does not run, so what dies is not started again", fix};
}

Checks checkProcesses(const ClusterFile& file, const LocalLayout& layout) {
  if (!anyRuns(file)) {
    return {{Verdict::FAILED, "cluster", "is stopped: none of its processes runs",
             "muster up --detach --dir " + layout.root}};
  }
  Checks checks;
  for (const auto& process : file.processes) {
    checks.push_back(checkProcess(process, remediesOf(layout)));
  }
  return checks;
}

Checks checkServers(const ClusterFile& file, const LocalLayout& layout) {
  Checks checks = checkZookeepers(
      file.zookeeper, {.servers = file.zookeeper.size(), .remedies = remediesOf(layout)});
  for (const auto& server : zookeepersHere()) {
    if (server.file.starts_with(layout.root + "/")) append(checks, checkZookeeperFile(server));
  }
  return checks;
}

}  // namespace

std::optional<LocalLayout> localClusterOf(const std::string& contextFile) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  fs::path file = fs::path(contextFile).lexically_normal();
  LocalLayout layout{file.parent_path().string()};
  bool isIts = file == layout.contextFile() && fs::exists(layout.planFile(), ignored);
  return isIts ? std::optional(layout) : std::nullopt;
}

Checks checkLocalCluster(const LocalLayout& layout, WallTime now) {
  Checks checks =
      checkCertificates(layout.pki(), now, "muster up --dir ANOTHER makes a new cluster");
  append(checks, checkDisk(layout.root));
  auto file = loadClusterFile(layout.clusterFile());
  if (!file || !*file) {
    checks.push_back({Verdict::FAILED, "cluster", "has no cluster.json that can be read",
                      remediesOf(layout).away("")});
    return checks;
  }
  append(checks, checkProcesses(**file, layout));
  if (anyRuns(**file)) append(checks, checkServers(**file, layout));
  return checks;
}

}  // namespace muster::cli

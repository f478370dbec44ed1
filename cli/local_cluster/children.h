// The processes of a local cluster: started in order, kept running, told apart from strangers by
// pid and start time.
#pragma once

#include "base/event_loop.h"
#include "base/log.h"
#include "base/process.h"
#include "base/tasks.h"
#include "cli/local_cluster/cluster_file.h"
#include "cli/local_cluster/layout.h"
#include "cli/local_cluster/local_plan.h"

#include <map>
#include <string>
#include <vector>

namespace muster::cli {

// One process that shall run.
struct ChildSpec {
  std::string role;
  std::string id;
  std::vector<std::string> argv;
  std::map<std::string, std::string> addresses;
};

// All of them in the order of starting. Refuses NOT_FOUND when ZooKeeper's jars are missing.
Result<std::vector<ChildSpec>> childrenOf(const LocalPlan& plan, const LocalLayout& layout,
                                          const std::string& binFolder);

// This program on disk, also after another was put in its place: the kernel then tells the old name
// with a mark.
std::string ownProgram();

// The environment that every child gets: where programs are, and nothing of the caller's secrets.
std::vector<std::string> childEnvironment();

// Starts children and starts again those whose role is to be restarted. Borrowed things outlive
// this.
class Children {
 public:
  Children(EventLoop& loop, ProcessRunner& runner, Logger& log, LocalLayout layout, LocalPlan plan,
           std::vector<ChildSpec> specs);

  // Takes over those processes of an earlier supervisor that still run.
  void adopt(const ClusterFile& earlier);
  // Starts one that does not run; nothing otherwise. Throws when it cannot be started.
  void start(const std::string& id);
  void startRole(const std::string& role);
  bool runs(const std::string& id) const;
  // SIGTERM, and SIGKILL after `patience`; resolves when all of the role have ended. They are not
  // started again.
  kj::Promise<void> stopRole(const std::string& role, Duration patience);
  // No child is started again from here on.
  void letDie() { dying_ = true; }

  const std::vector<ChildSpec>& specs() const { return specs_; }

 private:
  struct Running {
    kj::Own<ChildProcess> process;
  };
  const ChildSpec& specOf(const std::string& id) const;
  void watch(const std::string& id, kj::Own<ChildProcess> process);
  void ended(const std::string& id, ExitStatus status);
  bool restarts(const std::string& role) const;
  void writeClusterFile();
  kj::Promise<void> stopOne(const std::string& id, Duration patience);

  EventLoop& loop_;
  ProcessRunner& runner_;
  Logger& log_;
  LocalLayout layout_;
  LocalPlan plan_;
  std::vector<ChildSpec> specs_;
  std::map<std::string, Running> running_;
  std::map<std::string, LocalProcess> known_;  // newest process of each id, running or not
  bool dying_ = false;
  Tasks tasks_;
};

}  // namespace muster::cli

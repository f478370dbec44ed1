// Real muster-worker processes for tests: each with a folder and a certificate of its own, gone
// with this object and with the test process.
#pragma once

#include "base/ids.h"
#include "tests/base/temporary_folder.h"
#include "tests/support/coordinator_process.h"

#include <string>
#include <sys/types.h>
#include <vector>

namespace muster::support {

class WorkerProcesses {
 public:
  // Certificates come from the coordinators' authority. Configurations for w1 ... w<count>, each
  // with two CPU devices; starts nothing.
  WorkerProcesses(const ClusterName& cluster, CoordinatorProcesses& coordinators, size_t count,
                  const std::string& modelRoot = "/nonexistent");
  ~WorkerProcesses();
  WorkerProcesses(const WorkerProcesses&) = delete;
  WorkerProcesses& operator=(const WorkerProcesses&) = delete;

  size_t count() const { return members_.size(); }
  std::string configPath(size_t member) const;
  std::string dataDirectory(size_t member) const;
  std::string log(size_t member) const;  // what it wrote to stderr so far
  pid_t pid(size_t member) const { return members_.at(member).pid; }  // 0: not running

  void start(size_t member);
  void kill(size_t member);             // SIGKILL, and waits until it is gone
  ProcessEnd terminate(size_t member);  // SIGTERM, and waits until it has ended
  // Runs muster-worker with these arguments to its end.
  ProcessEnd run(const std::vector<std::string>& arguments);

 private:
  struct Member {
    std::string id;
    pid_t pid = 0;
  };
  TemporaryFolder folder_;
  std::vector<Member> members_;
};

}  // namespace muster::support

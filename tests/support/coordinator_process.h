// Real muster-coordinator processes for tests: each with a folder, a certificate and a port of its
// own, gone with this object and with the test process.
#pragma once

#include "base/ids.h"
#include "base/tls_transport.h"
#include "base/transport.h"
#include "base/units.h"
#include "tests/base/temporary_folder.h"
#include "tests/support/child_program.h"

#include <cstdint>
#include <functional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace muster::support {

class CoordinatorProcesses {
 public:
  // Makes authority, certificates and configurations for co1 ... co<count>; starts nothing.
  CoordinatorProcesses(const ClusterName& cluster, const std::vector<std::string>& zookeeper,
                       size_t count, Duration session = 1_s);
  // Each member reaches ZooKeeper by addresses of its own.
  using ZookeeperOf = std::function<std::vector<std::string>(size_t member)>;
  CoordinatorProcesses(const ClusterName& cluster, const ZookeeperOf& zookeeper, size_t count,
                       Duration session = 1_s);
  ~CoordinatorProcesses();
  CoordinatorProcesses(const CoordinatorProcesses&) = delete;
  CoordinatorProcesses& operator=(const CoordinatorProcesses&) = delete;

  size_t count() const { return members_.size(); }
  std::string address(size_t member) const;
  std::string dataDirectory(size_t member) const;
  std::string configPath(size_t member) const;
  std::string logPath(size_t member) const;
  std::string log(size_t member) const;  // what it wrote to stderr so far
  pid_t pid(size_t member) const { return members_.at(member).pid; }  // 0: not running
  TlsFiles certificate(const PeerIdentity& identity);

  void start(size_t member);
  void kill(size_t member);             // SIGKILL, and waits until it is gone
  ProcessEnd terminate(size_t member);  // SIGTERM, and waits until it has ended
  void signal(size_t member, int number);
  // Runs muster-coordinator with these arguments to its end.
  ProcessEnd run(const std::vector<std::string>& arguments);

 private:
  struct Member {
    std::string id;
    uint16_t port = 0;
    pid_t pid = 0;
  };
  void writeConfig(const Member& member, const std::vector<std::string>& zookeeper);

  ClusterName cluster_;
  TemporaryFolder folder_;
  Duration session_;
  std::vector<Member> members_;
};

}  // namespace muster::support

// Processes full of simulated agents, as a benchmark sees them.
#pragma once

#include "base/ids.h"
#include "base/units.h"
#include "tests/base/temporary_folder.h"
#include "tests/support/coordinator_process.h"

#include <string>
#include <sys/types.h>
#include <vector>

namespace muster::bench {

class AgentFleet {
 public:
  // An agent has a connection to each coordinator, and a process may have 20,000.
  static constexpr size_t AGENTS_OF_A_PROCESS = 3'500;

  // Starts them; they attach by and by. The coordinators' authority signs their certificates.
  AgentFleet(support::CoordinatorProcesses& coordinators, const ClusterName& cluster, size_t agents,
             size_t devices);
  ~AgentFleet();
  AgentFleet(const AgentFleet&) = delete;
  AgentFleet& operator=(const AgentFleet&) = delete;

  size_t agents() const { return agents_; }
  const std::vector<pid_t>& processes() const { return processes_; }
  struct Answered {
    size_t agents = 0;
    SteadyTime last;  // when the last of them was
  };
  // Agents that a leader of an epoch above `epoch` has answered.
  Answered answeredAfter(uint64_t epoch) const;
  // Agents that are attached to every coordinator, as of a second ago.
  size_t attachedEverywhere() const;
  // The highest epoch any of them was answered in.
  uint64_t epoch() const;
  std::string log() const;

 private:
  TemporaryFolder folder_;
  size_t agents_;
  std::vector<pid_t> processes_;
};

}  // namespace muster::bench

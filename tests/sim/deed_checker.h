// What leaders do to replicas and nodes, judged at each command by the state before it and by what
// the world knows: whether a replica was ended without need, or a drain was called done too early.
#pragma once

#include "protocol/command.h"
#include "tests/sim/cluster.h"

#include <map>
#include <string>

namespace muster::sim {

class DeedChecker {
 public:
  explicit DeedChecker(Cluster& cluster) : cluster_(cluster) {}

  // The leader has this node attached, and has heard of it lately.
  void heard(const NodeName& node, Instant clusterNow);
  // That leader could not commit a check for a while: its peers may take it for cut off.
  void stalled(const std::string& coordinator) {
    lastStalled_[coordinator] = cluster_.world().now();
  }
  // A command is committed; `before` is the state it meets.
  void committed(const coordinator::State& before, const Command& command);

 private:
  void check(const coordinator::State& before, const ReplicaRetired& body, Instant decidedAt);
  void check(const coordinator::State& before, const NodePhaseChanged& body);
  void check(const coordinator::State& before, const NodeDrained& body);
  void check(const coordinator::State& before, const LeaderStarted& body);
  void checkAway(const coordinator::PlacedGeneration& generation, const std::string& replica,
                 Instant decidedAt);
  void checkOthersServe(const coordinator::State& before, const ReplicaRetired& body,
                        Instant decidedAt);

  Cluster& cluster_;
  struct Hearing {
    Instant since, last;  // without a gap
  };
  std::map<NodeName, Hearing> heard_;
  std::map<std::string, SteadyTime> lastStalled_;
};

}  // namespace muster::sim

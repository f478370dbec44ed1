// A leader's core with agents that do as they are told, stepped by hand: no loop, no network, no
// clock.
#pragma once

#include "coordinator/core/reconcile.h"
#include "tests/support/builders.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace muster::coordinator {

// What one worker runs. It obeys at once and reports at once, unless a test holds it back.
struct FakeAgent {
  NodeInfo info;
  Incarnation incarnation;
  bool connected = false;
  bool stopsRanks = true;  // false: what it shall stop goes on
  OrderStamp stored;
  std::map<RankRef, Assignment> wanted;
  std::map<RankRef, RankReport> ranks;
  uint32_t nextPid = 100;
};

class CoreCluster {
 public:
  explicit CoreCluster(uint64_t seed = 1);
  ~CoreCluster() noexcept {}  // as fixtures of the test framework must be

  State state;
  Instant now{1'000'000'000};
  Observed observed;
  std::map<NodeName, FakeAgent> agents;
  std::vector<Event> events;
  std::map<std::string, std::string> store;  // what the write sets add up to
  std::vector<Command> log;
  std::optional<Instant> wakeAt;

  // As the leader does: decide, then apply. The proposals of the core are "coordinator/co1".
  Result<Outcome> request(CommandBody body, const std::string& principal = "admin/anna",
                          RequestId id = {});
  // Applies what nobody decided.
  Applied applyRaw(CommandBody body, RequestId id = {});
  Applied applyCommand(const Command& command);

  void addNode(const testing::NodeInfoBuilder& node);  // connects and registers it
  void connect(const NodeName& node);                  // says hello as it is
  void disconnect(const NodeName& node);               // the leader sees the connection break
  void startLeader(Epoch epoch);                       // nothing is attached any more
  void heartbeat();                                    // all connected agents report and get leases

  // One look, its proposals applied, its orders obeyed. True when there was anything to do.
  bool step();
  // Steps until there is nothing to do; fails after 200.
  void settle();
  // Lets time pass with heartbeats, settling each time reconcile wants to look again.
  void pass(Duration time);

  // Brings every rank that runs to a phase and reports it.
  void setRanks(ReplicaPhase phase);
  void failRank(const RankRef& ref, Reason reason, const std::string& error);
  // settle, all ranks Ready, settle.
  void bringUp();

  const DeploymentState& deployment(const std::string& name) const;
  const ReplicaState& replica(const std::string& name, uint32_t number) const;
  // "w1:0 w1:1" of the current generation; "-" without one.
  std::string places(const std::string& name, uint32_t number) const;
  RankRef rankOf(const std::string& name, uint32_t replica, uint32_t rank) const;
  // Events of one type, as "object: message".
  std::vector<std::string> eventsOf(const std::string& type) const;

 private:
  void obey(const NodeOrder& order);
  static bool goesOn(FakeAgent& agent, const Assignment& assignment);
  void report(const NodeName& name, FakeAgent& agent);

  SeededRandom random_;
  ClusterIndex index_;  // kept from look to look, as the leader does
};

NodeName nodeName(const std::string& name);
DeploymentApplied applyOf(const testing::SpecBuilder& spec, uint64_t expectedRevision = 0);
DeploymentScaled scaleOf(const std::string& name, uint32_t replicas, uint64_t expected = 0);
DeploymentDeleted deleteOf(const std::string& name, uint64_t expected = 0);

}  // namespace muster::coordinator

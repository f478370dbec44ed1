// One command on its way through the state: which records it touched, what happened, what the asker
// is told.
#pragma once

#include "coordinator/core/core.h"
#include "coordinator/core/record_key.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace muster::coordinator {

class Change {
 public:
  Change(State& state, LogIndex index, const Command& command);

  State& state;
  const Command& command;
  const LogIndex index;
  const Instant now;  // cluster time of this command; never before an earlier command's
  const WallTime wall;

  void touch(RecordKey key) { touched_.insert(std::move(key)); }
  void touchGeneration(const GenerationRef& ref, size_t ranks);  // it and all of its ranks
  void addEvent(Severity severity, std::string type, std::string object, std::string tenant,
                std::string message);
  void setAnswer(std::string json) { answer_ = std::move(json); }

  // Stamps the applied index, keeps the outcome, forgets old ones, and brings the hash up to date.
  Applied finish(std::optional<Refusal> rejected);

 private:
  void keepOutcome(const std::optional<Refusal>& rejected);
  void forgetOutcomes();

  std::set<RecordKey> touched_;
  std::vector<Event> events_;
  std::string answer_;
};

// "chat-70b/1", "node gpu03", "default/chat-70b", "rank 5 (gpu02:5)".
std::string replicaName(const DeploymentState& deployment, ReplicaNumber replica);
std::string nodeObject(const NodeName& node);
std::string qualifiedName(const TenantName& tenant, const DeploymentName& name);
std::string rankName(const Placement& placement, RankNumber rank);

}  // namespace muster::coordinator

// The plans that a leader has shown and may still be asked to carry out. Kept in memory only.
#pragma once

#include "base/random.h"
#include "coordinator/dry_run.h"

#include <deque>
#include <string>
#include <vector>

namespace muster::coordinator {

constexpr size_t PLANS_KEPT = 256;

// What a plan rests on and what it says. It may be carried out while both have not changed.
struct KeptPlan {
  std::string id;  // "p-7f3a"
  std::vector<DeploymentSpec> documents;
  std::vector<Revision> revisionsBefore;  // shape of `documents`; 0: there was none
  Guid inputs;                            // placementInputs() then
  LogIndex clusterRevision;               // applied index then
  std::vector<ReplicaPlaced> placed;      // places found for replicas that have none
};

class PlanBook {
 public:
  // Draws an id that no kept plan has; forgets the oldest plan above PLANS_KEPT.
  const KeptPlan& keep(KeptPlan plan, Random& random);
  const KeptPlan* find(const std::string& id) const;
  size_t size() const { return plans_.size(); }

 private:
  std::deque<KeptPlan> plans_;  // oldest first
};

// Why the plan must not be carried out now (REVISION_CONFLICT, naming what has changed), or
// nothing.
std::optional<Refusal> staleness(const KeptPlan& plan, const State& state, const Guid& inputs);

}  // namespace muster::coordinator

// What a change would do: the leader's own decide, apply and reconcile, run on a copy of the state.
#pragma once

#include "coordinator/core/core.h"

#include <string>
#include <vector>

namespace muster::coordinator {

struct DryRunInput {
  std::string principal;
  Instant now;
  WallTime wall;
  Revision expectedRevision;  // of the only document; 0: any
};

// What becomes of one document.
struct DryChange {
  DeploymentUid uid;  // in the state afterwards
  std::optional<DeploymentSpec> before;
  Revision revisionBefore;  // 0: there is none
  Revision revisionAfter;
  std::vector<std::string> reasons;  // of the planner for one replica
};

struct DryRun {
  State after;
  std::vector<DryChange> changes;     // shape of the documents
  std::vector<ReplicaPlaced> placed;  // for replicas that have no place now, in log order
};

// Only decides and applies, one document after the other; nothing is placed. Refuses as decide.
Result<DryRun> tryChanges(const State& state, const std::vector<DeploymentSpec>& documents,
                          const DryRunInput& input);

// tryChanges, and then lets the leader's reconcile place, end and replace replicas until the
// documents' deployments have settled, as if ranks started and stopped at once.
Result<DryRun> dryRun(const State& state, const Observed& observed,
                      const std::vector<DeploymentSpec>& documents, const DryRunInput& input,
                      Random& random);

// A digest of everything that a placement rests on: which nodes take work, their devices, and what
// is promised of them. It does not change with heartbeats, phases of ranks or the log's index.
Guid placementInputs(const State& state, const Observed& observed, Instant now);

}  // namespace muster::coordinator

// What keeps a draining node from being empty.
#pragma once

#include "coordinator/core/state.h"

#include <string>
#include <vector>

namespace muster::coordinator {

// One replica with ranks on the node, and why it cannot move now; an empty `blockedBy`: it moves.
struct DrainStep {
  DeploymentUid deployment;
  ReplicaNumber replica;
  Generation generation;
  std::string name;              // "embed/1"
  std::string blockedBy;         // "embed/2 is Failed and all others must serve while one moves"
  std::string fix;               // a command that would help; may be empty
  Reason reason = Reason::NONE;  // of what blocks it: the planner's, or the other replica's
  bool operator==(const DrainStep&) const = default;
};

// The replicas that a drain of this node has to move, by name. A replica moves when it serves
// nothing, or when all other replicas of its deployment serve; and when there is a place for it
// elsewhere. A drain has no surge: the old generation ends before the new one starts, so that a
// replica alone in its deployment has a gap while it moves. A forced drain ends replicas at once,
// whether there is another place or not.
std::vector<DrainStep> drainSteps(const State& state, const NodeName& node);

}  // namespace muster::coordinator

// Ranks that a generation has lost, and the next generation that replaces only them.
#pragma once

#include "coordinator/core/reconcile_topics.h"

#include <set>
#include <string>

namespace muster::coordinator {

// What a generation has lost, and the first cause.
struct Loss {
  Reason reason = Reason::NONE;
  std::string message;
  std::set<RankNumber> ranks;
};

// Ranks that have ended, are on a node given up, or on a device that is gone or smaller than
// promised. No ranks: nothing is lost.
Loss lossOf(const Look& look, const PlacedGeneration& generation);

enum class Recovery {
  ADVANCED,    // the next generation is proposed
  WAITING,     // for a process that is being killed to be gone, within a moment
  IMPOSSIBLE,  // nobody stays, no device for one of them, or it failed too often: the gang ends
};

// Proposes a generation in which the lost ranks have new places and the others go on. Native engine
// only: others know no way to leave their group.
Recovery recover(Look& look, const DeploymentState& deployment, ReplicaNumber number,
                 const Loss& loss);

}  // namespace muster::coordinator

// How a replica stands: what it waits for, how far it is, what comes next and what would help.
#pragma once

#include "coordinator/objects/json.h"

#include <optional>
#include <string>
#include <vector>

namespace muster::coordinator {

struct Standing {
  std::string message;
  std::string next;                // empty: nothing more is to come
  std::optional<double> progress;  // 0 to 1; nothing where none can be told
  std::vector<std::string> fix;    // commands, best first
};

Standing standingOf(const ObjectView& view, const DeploymentState& deployment, ReplicaNumber number,
                    const ReplicaState& replica);

// Bytes of weights that a rank has loaded: as its node said last, else as logged.
Bytes loadedBytes(const ObjectView& view, const RankRef& rank, const PlacedGeneration& generation);

// The code under which `muster explain` tells of a reason; nothing for Reason::NONE and those
// without.
std::optional<RefusalCode> codeOf(Reason reason);

// "search/ranker", or "ranker" where the tenant is the default one: as people refer to it.
std::string referenceTo(const DeploymentState& deployment);

}  // namespace muster::coordinator

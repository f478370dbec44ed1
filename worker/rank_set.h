// The real ranks of a node: processes in folders below the agent's data directory.
#pragma once

#include "worker/rank_unit.h"
#include "worker/ranks.h"

#include <memory>
#include <string>

namespace muster::worker {

// `environment` must outlive the result. `dataDir`: made when missing. Processes go on when the
// result is destroyed, and come back with restore().
kj::Own<Ranks> makeRanks(RankEnvironment& environment, std::string dataDir);

}  // namespace muster::worker

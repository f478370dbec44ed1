// Waiting for deployments to serve, with progress.
#pragma once

#include "cli/commands/session.h"

#include <vector>

namespace muster::cli {

// What an apply made; it is waited for until this revision serves.
struct AppliedDeployment {
  std::string reference;  // [tenant/]name
  uint64_t revision = 0;
};

// Shows one line per replica until all serve. Refuses TIMED_OUT after `limit`, REVISION_CONFLICT
// when another change took over, NOT_FOUND when one was deleted; gives 1 when one Failed.
Result<int> waitUntilServing(Invocation& invocation, Session& session,
                             std::vector<AppliedDeployment> deployments, Duration limit);

}  // namespace muster::cli

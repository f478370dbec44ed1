// `muster-coordinator --restore`: run by hand, while every coordinator of the cluster is stopped.
#pragma once

#include "coordinator/config.h"

#include <string>

namespace muster::coordinator {

struct RestoreRequest {
  std::string backupFile;        // empty: from this coordinator's own store
  std::string confirmedCluster;  // must be the cluster's name
};

// Makes a new history and fills this coordinator's own store. Gives the exit code. Throws FAILED
// with the text of a refusal.
int restoreCluster(const CoordinatorConfig& config, const RestoreRequest& request);

}  // namespace muster::coordinator

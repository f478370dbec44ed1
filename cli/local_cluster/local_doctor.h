// A cluster of `muster up`, as its doctor sees it. There no unit runs anything and nothing lies
// below /etc: processes, files and ports are those of its folder.
#pragma once

#include "base/clock.h"
#include "cli/doctor/check.h"
#include "cli/doctor/remedies.h"
#include "cli/local_cluster/layout.h"

#include <optional>
#include <string>

namespace muster::cli {

// Where the cluster of a context file lies, if `muster up` wrote that file where it still is.
std::optional<LocalLayout> localClusterOf(const std::string& contextFile);

inline Remedies remediesOf(const LocalLayout& layout) { return Remedies(layout.root); }

// Whether each of its processes runs (one line for all when none does), certificates, free space,
// and the ZooKeeper servers while there are any. Blocks for two seconds per server that does not
// answer.
Checks checkLocalCluster(const LocalLayout& layout, WallTime now);

}  // namespace muster::cli

// What the cluster says of itself, judged. Pure.
#pragma once

#include "cli/doctor/check.h"
#include "cli/json_view.h"

#include <string>

namespace muster::cli {

// `status`: the answer of `admin status`.
Checks checkCoordinators(const Json& status);
// `nodes`: the answer of `get nodes`. `version`: that of this command.
Checks checkNodes(const Json& nodes, const std::string& version);

}  // namespace muster::cli

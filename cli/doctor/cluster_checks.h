// What the cluster says of itself, judged. Pure.
#pragma once

#include "base/units.h"
#include "cli/doctor/check.h"
#include "cli/doctor/remedies.h"
#include "cli/json_view.h"

#include <string>

namespace muster::cli {

// `status`: the answer of `admin status`.
Checks checkCoordinators(const Json& status, const Remedies& remedies = {});
// This machine's clock beside that of the coordinator that answered; nothing when it did not tell
// its own. `asked` and `answered`: by this machine, just before and after the question.
Checks checkClockBeside(const Json& status, WallTime asked, WallTime answered);
// `nodes`: the answer of `get nodes`. `version`: that of this command.
Checks checkNodes(const Json& nodes, const std::string& version, const Remedies& remedies = {});

}  // namespace muster::cli

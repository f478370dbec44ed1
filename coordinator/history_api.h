// The call that shows objects as they were.
#pragma once

#include "coordinator/api.h"
#include "coordinator/history_replay.h"

namespace muster::coordinator {

struct PastSelection {
  std::string kind;    // as in get; not "events" and not "cluster"
  std::string target;  // empty: all
};

// Any coordinator answers, by a replay on a session of its own. A leader refuses large states,
// which would hold it up.
AnswerPromise answerHistory(ApiContext& context, ApiCall call, PastPoint point,
                            PastSelection selection);

}  // namespace muster::coordinator

// GET /api/v1/watch: what changes, as server-sent events.
#pragma once

#include "base/http_message.h"
#include "coordinator/api.h"
#include "coordinator/watch_hub.h"

#include <kj/async.h>

namespace muster::coordinator {

inline constexpr const char* WATCH_PATH = "/api/v1/watch";

// Who resumes is never answered from before what it has seen: a coordinator that is behind says so,
// and another one is asked. `hub` outlives the answer.
kj::Promise<HttpResponse> answerWatch(ApiContext& context, WatchHub& hub,
                                      const HttpRequest& request);

}  // namespace muster::coordinator

// Changes over HTTP. Each is the call of the RPC port of the same name: whoever leads answers it,
// after the same look at who may call what, with the same objects and refusals.
#pragma once

#include "base/http_message.h"
#include "coordinator/api.h"

#include <kj/async.h>

#include <optional>
#include <string>
#include <vector>

namespace muster::coordinator {

// The pattern of the change that is made with this method at this path, for the metrics;
// nothing when there is none.
std::optional<std::string> changeAt(const std::string& method, const std::string& path);
// The methods of the changes at this path: "POST".
std::vector<std::string> changeMethodsAt(const std::string& path);
// For texts and hints.
std::vector<std::string> changePaths();

// Carries out the change that changeAt() names for `request`, which is read before it returns.
//
// 503 with Retry-After when no leader is reached. The answer carries `Idempotency-Key`, the
// caller's or one that was drawn: with it the request may be sent again, to whichever coordinator,
// and is carried out once. `ETag` is the revision where there is one, `X-Muster-Index` the log
// index that the answer rests on.
kj::Promise<HttpResponse> answerChange(ApiContext& context, const HttpRequest& request);

// The log index that a read must show to be linearizable, by the leader's word.
kj::Promise<Result<LogIndex>> newestIndex(ApiContext& context, const HttpRequest& request);

}  // namespace muster::coordinator

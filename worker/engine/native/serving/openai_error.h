// Errors as OpenAI's clients expect them: {"error": {"message", "type", "param", "code"}}.
#pragma once

#include "base/http_message.h"
#include "base/result.h"

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <string>

namespace muster::worker {

// JSON in one line; what is no UTF-8 in it becomes U+FFFD.
std::string openAiText(const nlohmann::ordered_json& json);

// A refusal whose wrong field is `param`.
Refusal wrongParam(RefusalCode code, std::string param, std::string text);

// The status it is answered with.
int openAiStatus(const Refusal& refusal);

// The JSON of a refusal; its first input error names the `param`.
std::string openAiErrorBody(const Refusal& refusal);

// With Retry-After where the same request may succeed later. `status`: in place of the refusal's
// own. Has the shape of HttpFailureAnswer.
HttpResponse openAiError(const Refusal& refusal, const std::string& requestId,
                         std::optional<int> status = std::nullopt);

}  // namespace muster::worker

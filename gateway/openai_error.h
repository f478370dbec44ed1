// Answers that the gateway gives by itself, in the form that OpenAI's clients know.
#pragma once

#include "base/http_message.h"
#include "gateway/dispatcher.h"
#include "gateway/retry_rules.h"

#include <optional>
#include <string>

namespace muster::gateway {

struct OpenAiError {
  int status = 500;
  std::string message;
  std::string type = "server_error";  // "invalid_request_error" where the client can repair it
  std::string code;                   // "model_not_found"
  std::string param = {};             // of the request; empty: null
};

// {"error": {message, type, param, code}}; 429 and 503 carry Retry-After.
HttpResponse toResponse(const OpenAiError& error);
// The same as one event of a stream, after which the stream ends without [DONE].
std::string toEvent(const OpenAiError& error);

OpenAiError errorOf(const Unavailable& why, const std::string& model);
// `replica` failed the request so: for people, "default/chat/0".
OpenAiError errorOf(Failure failure, const std::string& replica);
// What is wrong with the HTTP of a request; for HttpServerOptions::failure.
HttpResponse openAiFailure(const Refusal& refusal, const std::string& requestId,
                           std::optional<int> status);

}  // namespace muster::gateway

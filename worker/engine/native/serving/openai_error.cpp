#include "worker/engine/native/serving/openai_error.h"

#include <nlohmann/json.hpp>

#include <utility>

namespace muster::worker {
namespace {

constexpr const char* RETRY_AFTER_SECONDS = "1";

// What OpenAI's documents call it; other surfaces of ours say the code's own number.
const char* codeOf(const Refusal& refusal, int status) {
  if (refusal.code == RefusalCode::TOO_LARGE && status == 400) return "context_length_exceeded";
  switch (status) {
    case 401:
      return "not_authenticated";
    case 403:
      return "not_allowed";
    case 404:
      return refusal.code == RefusalCode::MODEL_NOT_FOUND ? "model_not_found" : "not_found";
    case 503:
      return refusal.code == RefusalCode::OVERLOADED ? "overloaded" : "replica_unavailable";
    default:
      return nullptr;
  }
}

nlohmann::ordered_json errorJson(const Refusal& refusal, int status) {
  nlohmann::ordered_json error;
  error["message"] = refusal.text;
  error["type"] = status < 500 ? "invalid_request_error" : "server_error";
  error["param"] = nullptr;
  if (!refusal.errors.empty()) error["param"] = refusal.errors.front().path;
  error["code"] = nullptr;
  if (const char* code = codeOf(refusal, status)) error["code"] = code;
  return {{"error", std::move(error)}};
}

}  // namespace

std::string openAiText(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Refusal wrongParam(RefusalCode code, std::string param, std::string text) {
  InputError error{.code = code, .path = std::move(param), .message = text};
  return {.code = code, .text = std::move(text), .errors = {std::move(error)}};
}

int openAiStatus(const Refusal& refusal) {
  switch (refusal.code) {
    case RefusalCode::TOO_LARGE:
      return 400;  // the prompt, not the body
    case RefusalCode::NOT_SUPPORTED_YET:
      return 400;
    case RefusalCode::MODEL_NOT_FOUND:
      return 404;
    case RefusalCode::OVERLOADED:
    case RefusalCode::RANK_CRASHED:
    case RefusalCode::RANK_STALLED:
      return 503;
    case RefusalCode::INTERNAL:
      return 500;
    default:
      return refusalInfo(refusal.code).httpStatus;
  }
}

std::string openAiErrorBody(const Refusal& refusal) {
  return openAiText(errorJson(refusal, openAiStatus(refusal)));
}

HttpResponse openAiError(const Refusal& refusal, const std::string&, std::optional<int> status) {
  int used = status.value_or(openAiStatus(refusal));
  HttpResponse response{.status = used, .body = openAiText(errorJson(refusal, used))};
  if (used == 503 || used == 429) response.headers["Retry-After"] = RETRY_AFTER_SECONDS;
  return response;
}

}  // namespace muster::worker

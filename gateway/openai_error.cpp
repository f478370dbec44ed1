#include "gateway/openai_error.h"

#include <nlohmann/json.hpp>

#include <cmath>

namespace muster::gateway {
namespace {

constexpr const char* YOURS = "invalid_request_error";
constexpr const char* OURS = "server_error";

std::string toJson(const OpenAiError& error) {
  nlohmann::ordered_json body = {
      {"error",
       {{"message", error.message},
        {"type", error.type},
        {"param",
         error.param.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(error.param)},
        {"code", error.code}}}};
  return body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

OpenAiError noModel(const Unavailable& why, const std::string& model) {
  std::string text = "there is no model \"" + model + "\"";
  for (size_t i = 0; i < why.near.size(); ++i) {
    text += (i == 0 ? "; did you mean " : " or ") + ("\"" + why.near[i] + "\"");
  }
  if (!why.near.empty()) text += "?";
  return {404, text, YOURS, "model_not_found", "model"};
}

std::string percent(double share) {
  return std::to_string(static_cast<int>(std::floor(share * 100))) + "%";
}

}  // namespace

HttpResponse toResponse(const OpenAiError& error) {
  HttpResponse response;
  response.status = error.status;
  response.body = toJson(error) + "\n";
  if (error.status == 429 || error.status == 503) response.headers["Retry-After"] = "1";
  return response;
}

std::string toEvent(const OpenAiError& error) { return "data: " + toJson(error) + "\n\n"; }

OpenAiError errorOf(const Unavailable& why, const std::string& model) {
  if (why.why == Unavailable::Why::NO_MODEL) return noModel(why, model);
  if (why.why == Unavailable::Why::NOWHERE) {
    return {503, "no replica of \"" + model + "\" can take requests now: " + why.message, OURS,
            "model_unavailable"};
  }
  std::string progress = why.progress ? ", " + percent(*why.progress) + " done" : "";
  return {503, "model \"" + model + "\" is loading" + progress + ": " + why.message, OURS,
          "model_loading"};
}

OpenAiError errorOf(Failure failure, const std::string& replica) {
  switch (failure) {
    case Failure::CONNECT:
      return {502, "replica " + replica + " cannot be reached", OURS, "replica_unreachable"};
    case Failure::BUSY:
      return {503, "replica " + replica + " takes no more requests now", OURS, "replica_busy"};
    case Failure::FIRST_BYTE:
      return {504, "replica " + replica + " did not begin to answer in time", OURS,
              "first_byte_deadline"};
    case Failure::BAD_ANSWER:
      return {502, "replica " + replica + " answered something that is no HTTP", OURS,
              "bad_answer"};
    case Failure::BROKEN:
      return {502, "replica " + replica + " broke its answer off", OURS, "answer_broken"};
    case Failure::OUT_OF_TIME:
      return {504, "the request's deadline is over", OURS, "request_deadline"};
    case Failure::STALE:
    case Failure::NO_ANSWER:
      break;
  }
  return {502, "replica " + replica + " ended the connection without an answer", OURS, "no_answer"};
}

HttpResponse openAiFailure(const Refusal& refusal, const std::string& requestId,
                           std::optional<int> status) {
  int code = status.value_or(refusalInfo(refusal.code).httpStatus);
  bool isOurs = code >= 500 && code != 501 && code != 505;
  auto response = toResponse({code, refusal.text + " (request " + requestId + ")",
                              isOurs ? OURS : YOURS, toText(refusal.code)});
  return response;
}

}  // namespace muster::gateway

// Bodies of /v1/completions and /v1/chat/completions. Source: OpenAI's API reference; `top_k`,
// `ignore_eos`, `stop_token_ids` and `return_token_ids` as vLLM's server takes them.
#pragma once

#include "base/result.h"
#include "worker/engine/native/serving/chat_template.h"
#include "worker/engine/native/serving/tokenizer.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace muster::worker {

enum class ApiKind : uint8_t { COMPLETION, CHAT };

using Prompt = std::variant<std::string, std::vector<TokenId>>;

struct ApiRequest {
  ApiKind kind = ApiKind::COMPLETION;
  std::string model;
  std::vector<Prompt> prompts;        // completions; at least one
  std::vector<ChatMessage> messages;  // chats; at least one
  uint32_t choices = 1;               // of each prompt
  bool stream = false;
  bool includeUsage = false;
  bool returnTokenIds = false;
  bool ignoreEnd = false;  // end tokens do not end the answer
  std::optional<uint32_t> tokensMax;
  std::optional<double> temperature;
  std::optional<double> topP;
  std::optional<uint32_t> topK;
  std::optional<uint64_t> seed;
  std::vector<std::string> stops;
  std::vector<TokenId> stopTokens;
  std::optional<uint32_t> logprobs;  // wanted, with so many likeliest tokens of each position
};

// Refuses INVALID_SYNTAX for what is no JSON object (a key twice counts as such), INVALID_VALUE,
// MISSING_FIELD and NOT_SUPPORTED_YET with the name of the field. Fields that could change the
// answer and are not supported are refused unless they have their default; other unknown ones are
// ignored, as clients send many.
Result<ApiRequest> parseApiRequest(ApiKind kind, std::string_view body);

}  // namespace muster::worker

#include "worker/engine/native/serving/openai_request.h"

#include "sharding/json.h"
#include "sharding/text.h"
#include "worker/engine/native/serving/json_fields.h"
#include "worker/engine/native/serving/openai_error.h"

#include <nlohmann/json.hpp>

#include <array>
#include <cmath>
#include <utility>

namespace muster::worker {
namespace {

using nlohmann::json;

const sharding::JsonLimits BODY_LIMITS{.file = "the body",
                                       .code = RefusalCode::INVALID_SYNTAX,
                                       .bytesMax = uint64_t{8} << 20,
                                       .depthMax = 32};
constexpr uint64_t CHOICES_MAX = 16;  // of one request, over all prompts
constexpr size_t STOPS_MAX = 16;
constexpr size_t STOP_BYTES_MAX = 256;
constexpr uint64_t LOGPROBS_MAX = 20;
constexpr uint64_t NUMBER_MAX = 1 << 30;

Refusal invalid(const std::string& field, const std::string& text) {
  return wrongParam(RefusalCode::INVALID_VALUE, field, field + " " + text);
}

// Reads one field after another; the first that is wrong is kept. Null counts as absent.
class Fields {
 public:
  explicit Fields(const json& object) : object_(object) {}

  const json* find(const char* name) const {
    const json* field = fieldOf(object_, name);
    return field != nullptr && field->is_null() ? nullptr : field;
  }
  bool flag(const char* name) {
    const json* field = find(name);
    if (field == nullptr) return false;
    if (!field->is_boolean()) refuse(invalid(name, "must be true or false"));
    return field->is_boolean() && field->get<bool>();
  }
  std::optional<double> number(const char* name, double min, double max) {
    const json* field = find(name);
    if (field == nullptr) return std::nullopt;
    double value = field->is_number() ? field->get<double>() : std::nan("");
    if (value >= min && value <= max) return value;
    refuse(invalid(name, "must be a number from " + json(min).dump() + " to " + json(max).dump()));
    return std::nullopt;
  }
  std::optional<uint64_t> count(const char* name, uint64_t min, uint64_t max) {
    const json* field = find(name);
    if (field == nullptr) return std::nullopt;
    if (field->is_number_unsigned()) {
      auto value = field->get<uint64_t>();
      if (value >= min && value <= max) return value;
    }
    refuse(invalid(
        name, "must be a whole number from " + std::to_string(min) + " to " + std::to_string(max)));
    return std::nullopt;
  }
  void refuse(Refusal refusal) {
    if (!wrong_) wrong_ = std::move(refusal);
  }
  const std::optional<Refusal>& wrong() const { return wrong_; }

 private:
  const json& object_;
  std::optional<Refusal> wrong_;
};

std::optional<uint32_t> narrow(std::optional<uint64_t> value) {
  if (!value) return std::nullopt;
  return static_cast<uint32_t>(*value);
}

// What would change the answer; each is taken only where it asks for nothing.
void refuseUnsupported(Fields& fields) {
  constexpr std::array<const char*, 9> NAMES = {"presence_penalty",
                                                "frequency_penalty",
                                                "logit_bias",
                                                "tools",
                                                "functions",
                                                "suffix",
                                                "echo",
                                                "audio",
                                                "min_tokens"};
  for (const char* name : NAMES) {
    const json* field = fields.find(name);
    if (field == nullptr) continue;
    bool asksForNothing = (field->is_number() && field->get<double>() == 0) ||
                          (field->is_boolean() && !field->get<bool>()) ||
                          (!field->is_number() && !field->is_boolean() && field->empty()) ||
                          (field->is_string() && field->get_ref<const std::string&>().empty());
    if (asksForNothing) continue;
    fields.refuse(wrongParam(RefusalCode::NOT_SUPPORTED_YET, name,
                             std::string(name) + " is not supported by the native engine"));
  }
  const json* format = fields.find("response_format");
  if (format != nullptr && textOf(*format, "type") != "text") {
    fields.refuse(wrongParam(RefusalCode::NOT_SUPPORTED_YET, "response_format",
                             "response_format other than text is not supported by the native "
                             "engine"));
  }
}

std::optional<std::vector<TokenId>> tokenIds(const json& list) {
  std::vector<TokenId> ids;
  for (const json& value : list) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() >= NUMBER_MAX) return std::nullopt;
    ids.push_back(value.get<TokenId>());
  }
  return ids;
}

void readStops(Fields& fields, ApiRequest& request) {
  if (const json* stop = fields.find("stop")) {
    const json list = stop->is_array() ? *stop : json::array({*stop});
    for (const json& value : list) {
      bool good = value.is_string() && !value.get_ref<const std::string&>().empty() &&
                  value.get_ref<const std::string&>().size() <= STOP_BYTES_MAX;
      if (!good || request.stops.size() == STOPS_MAX) {
        fields.refuse(invalid("stop", "must be a text or a list of at most " +
                                          std::to_string(STOPS_MAX) + " texts of 1 to " +
                                          std::to_string(STOP_BYTES_MAX) + " bytes"));
        return;
      }
      request.stops.push_back(value.get<std::string>());
    }
  }
  if (const json* stop = fields.find("stop_token_ids")) {
    auto ids = stop->is_array() ? tokenIds(*stop) : std::nullopt;
    if (!ids) fields.refuse(invalid("stop_token_ids", "must be a list of token ids"));
    if (ids) request.stopTokens = std::move(*ids);
  }
}

// A text, token ids, or a list of either.
void readPrompts(Fields& fields, ApiRequest& request) {
  const json* prompt = fields.find("prompt");
  auto refuse = [&fields] {
    fields.refuse(invalid("prompt", "must be a text, a list of token ids, or a list of either"));
  };
  if (prompt == nullptr) {
    fields.refuse(wrongParam(RefusalCode::MISSING_FIELD, "prompt", "prompt is missing"));
    return;
  }
  bool single = prompt->is_string() ||
                (prompt->is_array() && !prompt->empty() && prompt->front().is_number());
  const json list = single ? json::array({*prompt}) : *prompt;
  if (!list.is_array() || list.empty()) return refuse();
  for (const json& item : list) {
    if (item.is_string()) {
      request.prompts.emplace_back(item.get<std::string>());
      continue;
    }
    auto ids = item.is_array() ? tokenIds(item) : std::nullopt;
    if (!ids || ids->empty()) return refuse();
    request.prompts.emplace_back(std::move(*ids));
  }
}

// A text, or a list of {"type": "text", "text": ...}.
std::optional<std::string> contentOf(const json& message) {
  const json* content = fieldOf(message, "content");
  if (content == nullptr) return std::nullopt;
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) return std::nullopt;
  std::string text;
  for (const json& part : *content) {
    const json* partText = fieldOf(part, "text");
    if (textOf(part, "type") != "text" || partText == nullptr || !partText->is_string()) {
      return std::nullopt;
    }
    text += partText->get<std::string>();
  }
  return text;
}

std::optional<ChatRole> roleOf(const std::string& text) {
  if (text == "system" || text == "developer") return ChatRole::SYSTEM;
  if (text == "user") return ChatRole::USER;
  if (text == "assistant") return ChatRole::ASSISTANT;
  return std::nullopt;
}

void readMessages(Fields& fields, ApiRequest& request) {
  const json* messages = fields.find("messages");
  if (messages == nullptr || !messages->is_array() || messages->empty()) {
    fields.refuse(wrongParam(RefusalCode::MISSING_FIELD, "messages",
                             "messages must be a list of at least one message"));
    return;
  }
  for (size_t i = 0; i < messages->size(); ++i) {
    std::string at = "messages[" + std::to_string(i) + "]";
    auto role = roleOf(textOf((*messages)[i], "role"));
    auto content = contentOf((*messages)[i]);
    if (!role) {
      fields.refuse(invalid(at + ".role", "must be system, user or assistant; it is " +
                                              sharding::inQuotes(textOf((*messages)[i], "role"))));
    }
    if (!content) fields.refuse(invalid(at + ".content", "must be text"));
    if (!role || !content) return;
    request.messages.push_back({*role, std::move(*content)});
  }
}

// Completions say how many, chats say whether and how many.
void readLogprobs(Fields& fields, ApiRequest& request) {
  if (request.kind == ApiKind::COMPLETION) {
    request.logprobs = narrow(fields.count("logprobs", 0, LOGPROBS_MAX));
    return;
  }
  bool wanted = fields.flag("logprobs");
  auto likeliest = narrow(fields.count("top_logprobs", 0, LOGPROBS_MAX));
  if (wanted) request.logprobs = likeliest.value_or(0);
  if (!wanted && likeliest.value_or(0) > 0) {
    fields.refuse(invalid("top_logprobs", "needs logprobs to be true"));
  }
}

void readChoices(Fields& fields, ApiRequest& request) {
  uint64_t prompts = request.kind == ApiKind::CHAT ? 1 : request.prompts.size();
  request.choices = narrow(fields.count("n", 1, CHOICES_MAX)).value_or(1);
  if (prompts * request.choices > CHOICES_MAX) {
    fields.refuse(invalid("n", "times the prompts is " + std::to_string(prompts * request.choices) +
                                   "; at most " + std::to_string(CHOICES_MAX) + " are answered"));
  }
  auto best = fields.count("best_of", 1, CHOICES_MAX);
  if (best && *best != request.choices) {
    fields.refuse(wrongParam(RefusalCode::NOT_SUPPORTED_YET, "best_of",
                             "best_of other than n is not supported by the native engine"));
  }
}

void readSampling(Fields& fields, ApiRequest& request) {
  request.tokensMax = narrow(fields.count("max_tokens", 1, NUMBER_MAX));
  if (request.kind == ApiKind::CHAT) {
    auto newer = narrow(fields.count("max_completion_tokens", 1, NUMBER_MAX));
    if (newer) request.tokensMax = newer;
  }
  request.temperature = fields.number("temperature", 0, 100);
  request.topP = fields.number("top_p", 0, 1);
  if (request.topP && *request.topP == 0) fields.refuse(invalid("top_p", "must be above 0"));
  const json* topK = fields.find("top_k");
  bool all = topK != nullptr && topK->is_number_integer() && *topK == -1;
  request.topK = all ? 0 : narrow(fields.count("top_k", 0, NUMBER_MAX));
  if (const json* seed = fields.find("seed")) {
    if (!seed->is_number_integer()) fields.refuse(invalid("seed", "must be a whole number"));
    if (seed->is_number_integer()) request.seed = static_cast<uint64_t>(seed->get<int64_t>());
  }
}

}  // namespace

Result<ApiRequest> parseApiRequest(ApiKind kind, std::string_view body) {
  auto parsed = sharding::parseJsonObject(body, BODY_LIMITS);
  if (!parsed) return parsed.refusal();
  Fields fields(*parsed);
  ApiRequest request{.kind = kind, .model = textOf(*parsed, "model")};
  if (request.model.empty()) {
    fields.refuse(wrongParam(RefusalCode::MISSING_FIELD, "model", "model is missing"));
  }
  if (kind == ApiKind::CHAT) {
    readMessages(fields, request);
  } else {
    readPrompts(fields, request);
  }
  readChoices(fields, request);
  readSampling(fields, request);
  readStops(fields, request);
  readLogprobs(fields, request);
  request.stream = fields.flag("stream");
  request.returnTokenIds = fields.flag("return_token_ids");
  request.ignoreEnd = fields.flag("ignore_eos");
  const json* options = fields.find("stream_options");
  request.includeUsage = options != nullptr && flagOf(*options, "include_usage");
  refuseUnsupported(fields);
  if (fields.wrong()) return *fields.wrong();
  return request;
}

}  // namespace muster::worker

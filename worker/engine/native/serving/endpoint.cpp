#include "worker/engine/native/serving/endpoint.h"

#include "sharding/text.h"
#include "worker/engine/native/serving/openai_answer.h"
#include "worker/engine/native/serving/openai_error.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace muster::worker {
namespace {

constexpr uint32_t COMPLETION_TOKENS = 16;  // OpenAI's default; a chat's is all that fits
constexpr const char* EVENT_STREAM = "text/event-stream";

enum class Access : uint8_t { ANYBODY, WATCHERS, GATEWAYS };

// Who may ask for what. What is not listed is for gateways, known or not.
Access accessTo(const std::string& path) {
  if (path == "/health") return Access::ANYBODY;
  if (path == "/metrics") return Access::WATCHERS;
  return Access::GATEWAYS;
}

std::optional<Refusal> refuseAccess(const HttpRequest& request) {
  Access access = accessTo(request.path);
  if (access == Access::ANYBODY) return std::nullopt;
  if (!request.peerIdentity) {
    return Refusal{RefusalCode::NOT_AUTHENTICATED, "a client certificate is needed"};
  }
  Role role = request.peerIdentity->role;
  if (role == Role::GATEWAY) return std::nullopt;
  if (access == Access::WATCHERS && includes(role, Role::VIEWER)) return std::nullopt;
  return Refusal{RefusalCode::NOT_ALLOWED, "role " + std::string(toText(role)) + " may not ask " +
                                               request.path + " of a rank"};
}

// Gathers every piece of every answer, then answers once.
class WholeAnswer {
 public:
  WholeAnswer(kj::Own<Answers> answers, OpenAiAnswer format, size_t count)
      : answers_(kj::mv(answers)), format_(std::move(format)), gathered_(count) {}

  kj::Promise<HttpResponse> run(const std::string& requestId) {
    return answers_->next().then(
        [this, requestId](std::vector<NewPiece> pieces) -> kj::Promise<HttpResponse> {
          if (pieces.empty()) return HttpResponse{.body = format_.whole(gathered_)};
          for (auto& piece : pieces) {
            if (piece.piece.failure) return openAiError(*piece.piece.failure, requestId);
            gathered_[piece.index].merge(std::move(piece.piece));
          }
          return run(requestId);
        });
  }

 private:
  kj::Own<Answers> answers_;
  OpenAiAnswer format_;
  std::vector<GenerationPiece> gathered_;
};

// The body of a streamed answer; each piece is one or more whole events.
class AnswerStream final : public HttpBodyStream {
 public:
  AnswerStream(kj::Own<Answers> answers, OpenAiAnswer format)
      : answers_(kj::mv(answers)), format_(std::move(format)) {}

  kj::Promise<std::optional<std::string>> next() override {
    if (over_) return std::optional<std::string>();
    return answers_->next().then([this](const std::vector<NewPiece>& pieces) {
      std::string events;
      for (const auto& piece : pieces) {
        events += format_.event(piece);
        if (piece.piece.failure) over_ = true;
        if (over_)
          return std::optional(std::move(events));  // an error ends a stream, without [DONE]
      }
      if (pieces.empty()) {
        over_ = true;
        events = format_.end();
      }
      return std::optional(std::move(events));
    });
  }

 private:
  kj::Own<Answers> answers_;
  OpenAiAnswer format_;
  bool over_ = false;
};

}  // namespace

struct Endpoint::Begun {
  std::vector<std::vector<TokenId>> prompts;
  std::vector<kj::Own<Generation>> generations;
};

Endpoint::Endpoint(EndpointModel model, EngineLoop& engine, ServingMetrics& metrics,
                   const Clock& clock, Random& random)
    : model_(std::move(model)),
      chat_(model_.text->chatTemplate, model_.text->beginText, model_.text->endText),
      engine_(engine),
      metrics_(metrics),
      clock_(clock),
      random_(random),
      started_(clock.wallNow()) {}

kj::Promise<HttpResponse> Endpoint::handle(HttpRequest request) {
  auto answered = [this](HttpResponse response) {
    metrics_.onRequest(response.status);
    return response;
  };
  if (auto refused = refuseAccess(request)) {
    return answered(openAiError(*refused, request.requestId));
  }
  bool counted = request.path.starts_with("/v1/");
  auto response = route(request);
  return counted ? response.then(kj::mv(answered)) : kj::mv(response);
}

kj::Promise<HttpResponse> Endpoint::route(const HttpRequest& request) {
  auto notFound = [&request] {
    return openAiError(
        {RefusalCode::NOT_FOUND, "there is no " + request.method + " " + request.path},
        request.requestId);
  };
  if (request.method == "GET") {
    if (request.path == "/health") return health();
    if (request.path == "/metrics") {
      return HttpResponse{.contentType = "text/plain; version=0.0.4",
                          .body = metrics_.text(engine_.status())};
    }
    if (request.path == "/v1/models") return models("");
    if (request.path.starts_with("/v1/models/")) {
      return models(request.path.substr(std::string_view("/v1/models/").size()));
    }
    return notFound();
  }
  if (request.method != "POST") return notFound();
  if (request.path == "/v1/completions") return answer(ApiKind::COMPLETION, request);
  if (request.path == "/v1/chat/completions") return answer(ApiKind::CHAT, request);
  return notFound();
}

kj::Promise<HttpResponse> Endpoint::answer(ApiKind kind, const HttpRequest& request) {
  auto refuse = [&request](const Refusal& refusal) {
    return openAiError(refusal, request.requestId);
  };
  if (closed_) return refuse({RefusalCode::OVERLOADED, "this replica is draining"});
  SteadyTime asked = clock_.steadyNow();
  auto parsed = parseApiRequest(kind, request.body);
  if (!parsed) return refuse(parsed.refusal());
  if (!serves(parsed->model)) {
    return refuse(wrongParam(
        RefusalCode::MODEL_NOT_FOUND, "model",
        "this replica serves " + model_.name + ", not " + sharding::inQuotes(parsed->model)));
  }
  auto begun = begin(*parsed);
  if (!begun) return refuse(begun.refusal());
  uint64_t promptTokens = 0;
  for (const auto& prompt : begun->prompts) promptTokens += prompt.size();
  metrics_.onPrompt(promptTokens);
  AnswerHead head{.kind = kind,
                  .id = (kind == ApiKind::CHAT ? "chatcmpl-" : "cmpl-") + request.requestId,
                  .model = parsed->model,
                  .created = clock_.wallNow(),
                  .choices = parsed->choices,
                  .logprobs = parsed->logprobs.has_value(),
                  .returnTokenIds = parsed->returnTokenIds,
                  .includeUsage = parsed->includeUsage,
                  .prompts = std::move(begun->prompts),
                  .tokenizer = model_.text->tokenizer};
  size_t count = head.answers();
  auto answers = kj::heap<Answers>(std::move(begun->generations), metrics_, clock_, asked);
  if (parsed->stream) {
    return HttpResponse{
        .contentType = EVENT_STREAM,
        .headers = {{"Cache-Control", "no-cache"}},
        .stream = std::make_shared<AnswerStream>(kj::mv(answers), OpenAiAnswer(std::move(head)))};
  }
  auto whole = kj::heap<WholeAnswer>(kj::mv(answers), OpenAiAnswer(std::move(head)), count);
  auto promise = whole->run(request.requestId);
  return promise.attach(kj::mv(whole));
}

// All answers of a request are taken, or none.
Result<Endpoint::Begun> Endpoint::begin(const ApiRequest& request) {
  auto prompts = promptsOf(request);
  if (!prompts) return prompts.refusal();
  Begun begun{.prompts = std::move(*prompts)};
  uint64_t seed = request.seed.value_or(random_.next());
  for (const auto& prompt : begun.prompts) {
    auto task = taskOf(request, prompt);
    if (!task) return task.refusal();
    for (uint32_t choice = 0; choice < request.choices; ++choice) {
      GenerationTask copy = *task;
      copy.sampling.seed = seed + choice;  // the choices of one prompt differ
      auto generation = engine_.submit(std::move(copy));
      if (!generation) return generation.refusal();
      begun.generations.push_back(kj::mv(*generation));
    }
  }
  return Result<Begun>(std::move(begun));
}

Result<std::vector<std::vector<TokenId>>> Endpoint::promptsOf(const ApiRequest& request) const {
  std::vector<std::vector<TokenId>> prompts;
  if (request.kind == ApiKind::COMPLETION) {
    for (const Prompt& prompt : request.prompts) {
      auto tokens = tokensOf(request, prompt);
      if (!tokens) return tokens.refusal();
      prompts.push_back(std::move(*tokens));
    }
    return prompts;
  }
  if (model_.text->tokenizer == nullptr) {
    return Refusal{RefusalCode::NOT_SUPPORTED_YET,
                   "the model has no tokenizer; ask /v1/completions with token ids"};
  }
  auto parts = chat_.render(request.messages);
  if (!parts) {
    return wrongParam(parts.refusal().code, "messages", parts.refusal().text);
  }
  auto tokens = model_.text->tokenizer->encode(*parts);
  if (!tokens) return wrongParam(tokens.refusal().code, "messages", tokens.refusal().text);
  prompts.push_back(std::move(*tokens));
  return prompts;
}

Result<std::vector<TokenId>> Endpoint::tokensOf(const ApiRequest&, const Prompt& prompt) const {
  if (const auto* ids = std::get_if<std::vector<TokenId>>(&prompt)) return *ids;
  const Tokenizer* tokenizer = model_.text->tokenizer.get();
  if (tokenizer == nullptr) {
    return wrongParam(RefusalCode::NOT_SUPPORTED_YET, "prompt",
                      "the model has no tokenizer; the prompt must be token ids");
  }
  auto encoded = tokenizer->encode({{std::get<std::string>(prompt), SpecialTokens::PARSE}});
  if (!encoded) return wrongParam(encoded.refusal().code, "prompt", encoded.refusal().text);
  std::vector<TokenId> tokens = tokenizer->prefix();
  // A prompt that says its own beginning is not given a second one.
  if (std::equal(
          tokens.begin(), tokens.end(), encoded->begin(),
          encoded->begin() + static_cast<ptrdiff_t>(std::min(tokens.size(), encoded->size())))) {
    tokens.clear();
  }
  tokens.insert(tokens.end(), encoded->begin(), encoded->end());
  return tokens;
}

Result<GenerationTask> Endpoint::taskOf(const ApiRequest& request,
                                        std::vector<TokenId> prompt) const {
  const char* field = request.kind == ApiKind::CHAT ? "messages" : "prompt";
  if (prompt.empty()) return wrongParam(RefusalCode::INVALID_VALUE, field, "the prompt is empty");
  for (TokenId token : prompt) {
    if (token >= engine_.vocabulary()) {
      return wrongParam(RefusalCode::INVALID_VALUE, field,
                        "token " + std::to_string(token) +
                            " is outside the model's vocabulary of " +
                            std::to_string(engine_.vocabulary()));
    }
  }
  if (prompt.size() >= engine_.longest()) {
    return wrongParam(RefusalCode::TOO_LARGE, field,
                      "the prompt has " + std::to_string(prompt.size()) +
                          " tokens; with the answer at most " + std::to_string(engine_.longest()) +
                          " fit");
  }
  auto left = engine_.longest() - static_cast<uint32_t>(prompt.size());
  uint32_t tokensMax = request.kind == ApiKind::CHAT ? left : std::min(left, COMPLETION_TOKENS);
  const SamplingDefaults& defaults = model_.text->sampling;
  GenerationTask task{.prompt = std::move(prompt),
                      .tokensMax = request.tokensMax.value_or(tokensMax),
                      .stopTokens = request.stopTokens,
                      .stops = request.stops,
                      .likeliest = request.logprobs.value_or(0)};
  task.sampling.temperature = request.temperature.value_or(defaults.temperature.value_or(1));
  task.sampling.topP = request.topP.value_or(defaults.topP.value_or(1));
  task.sampling.topK = request.topK.value_or(defaults.topK.value_or(0));
  if (!request.ignoreEnd) {
    const auto& ends = model_.text->endTokens;
    task.stopTokens.insert(task.stopTokens.end(), ends.begin(), ends.end());
  }
  return task;
}

bool Endpoint::serves(const std::string& name) const {
  return name == model_.name ||
         std::find(model_.aliases.begin(), model_.aliases.end(), name) != model_.aliases.end();
}

HttpResponse Endpoint::health() const {
  std::string broken = engine_.status().broken;
  if (!broken.empty()) {
    return {.status = 503, .body = openAiText({{"status", "broken"}, {"message", broken}})};
  }
  if (closed_) return {.status = 503, .body = openAiText({{"status", "draining"}})};
  return {.body = openAiText({{"status", "ok"}})};
}

HttpResponse Endpoint::models(const std::string& wanted) const {
  auto describe = [this](const std::string& name) {
    return nlohmann::ordered_json{{"id", name},
                                  {"object", "model"},
                                  {"created", started_.unixMs / 1000},
                                  {"owned_by", "muster"},
                                  {"max_model_len", engine_.longest()}};
  };
  if (!wanted.empty()) {
    if (serves(wanted)) return {.body = openAiText(describe(wanted))};
    return openAiError(
        wrongParam(RefusalCode::MODEL_NOT_FOUND, "model",
                   "this replica serves " + model_.name + ", not " + sharding::inQuotes(wanted)),
        "");
  }
  nlohmann::ordered_json data = nlohmann::ordered_json::array({describe(model_.name)});
  for (const auto& alias : model_.aliases) data.push_back(describe(alias));
  return {.body = openAiText({{"object", "list"}, {"data", std::move(data)}})};
}

}  // namespace muster::worker

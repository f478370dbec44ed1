// chat: one deployment answers, as it would answer any client.
#include "base/event_loop.h"
#include "cli/commands/commands.h"
#include "cli/commands/gateway_calls.h"
#include "cli/exit_code.h"

#include <nlohmann/json.hpp>

#include <charconv>
#include <optional>
#include <utility>

namespace muster::cli {
namespace {

struct Sampling {
  uint32_t tokensMax = 0;             // 0: the model's own end
  std::optional<double> temperature;  // nothing: what the server takes by itself
};

class Chat {
 public:
  Chat(Invocation& invocation, GatewayAddress gateway, std::string model, Sampling sampling)
      : invocation_(invocation),
        gateway_(std::move(gateway)),
        model_(std::move(model)),
        sampling_(sampling),
        loop_(TerminationSignals::CAPTURE) {}

  // One turn; the conversation grows by it.
  Result<int> say(const std::string& text) {
    messages_.push_back({{"role", "user"}, {"content", text}});
    answer_.clear();
    error_.clear();
    auto done = complete(loop_.network(), loop_.timer(), gateway_, {.path = PATH, .body = body()},
                         [this](std::string_view json) { hear(json); });
    auto left = loop_.onTermination().then([](int) -> Result<int> { return INTERRUPTED; });
    auto status = done.exclusiveJoin(kj::mv(left)).wait(loop_.waitScope());
    if (!answer_.empty()) invocation_.terminal.out("\n");
    if (!status) return status.refusal();
    if (*status == INTERRUPTED) return EXIT_INTERRUPTED;
    if (*status == 0 && error_.empty()) error_ = "the answer broke off";
    if (!error_.empty()) return failed(*status);
    messages_.push_back({{"role", "assistant"}, {"content", answer_}});
    return EXIT_DONE;
  }

 private:
  static constexpr const char* PATH = "/v1/chat/completions";
  static constexpr int INTERRUPTED = -1;

  std::string body() const {
    Json body = {{"model", model_}, {"messages", messages_}, {"stream", true}};
    if (sampling_.tokensMax > 0) body["max_tokens"] = sampling_.tokensMax;
    if (sampling_.temperature) body["temperature"] = *sampling_.temperature;
    return body.dump(-1, ' ', false, Json::error_handler_t::replace);
  }

  void hear(std::string_view json) {
    Json event = Json::parse(json, nullptr, false);
    if (!event.is_object()) return;
    if (event.contains("error")) {
      error_ = errorMessage(json);
      return;
    }
    std::string piece = textAt(event, "/choices/0/delta/content");
    if (piece.empty()) piece = textAt(event, "/choices/0/message/content");
    answer_ += piece;
    invocation_.terminal.out(piece);
  }

  Result<int> failed(int status) const {
    RefusalCode code = status == 404   ? RefusalCode::NOT_FOUND
                       : status == 503 ? RefusalCode::OVERLOADED
                                       : RefusalCode::HEALTH_CHECK_FAILED;
    return Refusal{code, error_, {}, {"muster why " + model_, "muster ps"}};
  }

  Invocation& invocation_;
  GatewayAddress gateway_;
  std::string model_;
  Sampling sampling_;
  EventLoop loop_;
  Json messages_ = Json::array();
  std::string answer_;
  std::string error_;
};

Result<Sampling> samplingOf(const Invocation& invocation) {
  auto tokens = numberOf(invocation, "--max-tokens", 0);
  if (!tokens) return tokens.refusal();
  Sampling sampling{*tokens, {}};
  const std::string text = invocation.arguments.value("--temperature");
  if (text.empty()) return sampling;
  double temperature = -1;
  const char* end = text.data() + text.size();
  auto [parsed, error] = std::from_chars(text.data(), end, temperature);
  bool isUsable = error == std::errc{} && parsed == end && temperature >= 0 && temperature <= 2;
  if (!isUsable) {
    return Refusal{RefusalCode::INVALID_VALUE,
                   "--temperature is \"" + text + "\", it must be a number from 0 to 2"};
  }
  sampling.temperature = temperature;
  return sampling;
}

}  // namespace

Result<int> runChat(Invocation& invocation) {
  auto model = modelOf(invocation, invocation.arguments.word("REF"));
  if (!model) return invocation.wrongUsage(model.refusal());
  auto sampling = samplingOf(invocation);
  if (!sampling) return invocation.wrongUsage(sampling.refusal());
  auto gateway = gatewayOf(invocation);
  if (!gateway) return gateway.refusal();
  Chat chat(invocation, *gateway, *model, *sampling);
  std::string text = invocation.arguments.word("TEXT");
  if (!text.empty()) return chat.say(text);
  invocation.terminal.hint("talking to " + *model + "; Ctrl-D ends");
  TerminalStreams streams = processStreams();
  auto readLine = [&] {
    if (streams.inIsTerminal) streams.err("> ");
    return streams.readLine();
  };
  while (auto line = readLine()) {
    if (line->empty()) continue;
    auto said = chat.say(*line);
    if (!said || *said != EXIT_DONE) return said;
  }
  return EXIT_DONE;
}

}  // namespace muster::cli

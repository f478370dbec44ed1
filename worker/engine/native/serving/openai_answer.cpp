#include "worker/engine/native/serving/openai_answer.h"

#include "worker/engine/native/serving/openai_error.h"
#include "worker/engine/native/serving/utf8.h"

#include <utility>

namespace muster::worker {
namespace {

using Json = nlohmann::ordered_json;

std::string eventOf(const std::string& data) { return "data: " + data + "\n\n"; }

Json finishReason(const std::optional<FinishReason>& finish) {
  if (!finish) return nullptr;
  return *finish == FinishReason::STOP ? "stop" : "length";
}

Json idsOf(const std::vector<TokenChoice>& tokens) {
  Json ids = Json::array();
  for (const auto& token : tokens) ids.push_back(token.chosen.token);
  return ids;
}

}  // namespace

OpenAiAnswer::OpenAiAnswer(AnswerHead head)
    : head_(std::move(head)), begun_(head_.answers(), false), textOffsets_(head_.answers(), 0) {}

std::string OpenAiAnswer::event(const NewPiece& piece) {
  if (piece.piece.failure) return eventOf(openAiErrorBody(*piece.piece.failure));
  tokens_ += piece.piece.tokens.size();
  bool chat = head_.kind == ApiKind::CHAT;
  bool first = !begun_[piece.index];
  begun_[piece.index] = true;
  Json choice = {{"index", piece.index}};
  if (chat) {
    choice["delta"] = Json::object();
    if (first) choice["delta"]["role"] = "assistant";
    if (first || !piece.piece.text.empty()) choice["delta"]["content"] = piece.piece.text;
  } else {
    choice["text"] = piece.piece.text;
  }
  choice.update(this->choice(piece.index, piece.piece));
  if (first && head_.returnTokenIds) {
    choice["prompt_token_ids"] = head_.prompts[piece.index / head_.choices];
  }
  Json chunk = base(chat ? "chat.completion.chunk" : "text_completion");
  chunk["choices"] = Json::array({std::move(choice)});
  if (head_.includeUsage) chunk["usage"] = nullptr;
  return eventOf(openAiText(chunk));
}

std::string OpenAiAnswer::end() const {
  std::string events;
  if (head_.includeUsage) {
    Json chunk = base(head_.kind == ApiKind::CHAT ? "chat.completion.chunk" : "text_completion");
    chunk["choices"] = Json::array();
    chunk["usage"] = usage();
    events = eventOf(openAiText(chunk));
  }
  return events + eventOf("[DONE]");
}

std::string OpenAiAnswer::whole(const std::vector<GenerationPiece>& pieces) {
  bool chat = head_.kind == ApiKind::CHAT;
  Json answer = base(chat ? "chat.completion" : "text_completion");
  Json choices = Json::array();
  for (uint32_t i = 0; i < pieces.size(); ++i) {
    tokens_ += pieces[i].tokens.size();
    Json choice = {{"index", i}};
    if (chat) {
      choice["message"] = {{"role", "assistant"}, {"content", pieces[i].text}};
    } else {
      choice["text"] = pieces[i].text;
    }
    choice.update(this->choice(i, pieces[i]));
    if (head_.returnTokenIds) choice["prompt_token_ids"] = head_.prompts[i / head_.choices];
    choices.push_back(std::move(choice));
  }
  answer["choices"] = std::move(choices);
  answer["usage"] = usage();
  return openAiText(answer);
}

Json OpenAiAnswer::base(const char* object) const {
  return {{"id", head_.id},
          {"object", object},
          {"created", head_.created.unixMs / 1000},
          {"model", head_.model}};
}

// What a choice has in every form.
Json OpenAiAnswer::choice(uint32_t index, const GenerationPiece& piece) {
  Json choice;
  choice["logprobs"] = nullptr;
  if (head_.logprobs) {
    choice["logprobs"] = head_.kind == ApiKind::CHAT ? chatLogprobs(piece.tokens)
                                                     : completionLogprobs(index, piece.tokens);
  }
  choice["finish_reason"] = finishReason(piece.finish);
  if (head_.returnTokenIds) choice["token_ids"] = idsOf(piece.tokens);
  return choice;
}

Json OpenAiAnswer::completionLogprobs(uint32_t index, const std::vector<TokenChoice>& tokens) {
  Json logprobs = {{"tokens", Json::array()},
                   {"token_logprobs", Json::array()},
                   {"top_logprobs", Json::array()},
                   {"text_offset", Json::array()}};
  for (const auto& token : tokens) {
    std::string text = tokenText(token.chosen.token);
    logprobs["tokens"].push_back(text);
    logprobs["token_logprobs"].push_back(token.chosen.logprob);
    Json likeliest = Json::object();
    for (const auto& other : token.likeliest) likeliest[tokenText(other.token)] = other.logprob;
    logprobs["top_logprobs"].push_back(std::move(likeliest));
    logprobs["text_offset"].push_back(textOffsets_[index]);
    textOffsets_[index] += text.size();
  }
  return logprobs;
}

Json OpenAiAnswer::chatLogprobs(const std::vector<TokenChoice>& tokens) const {
  auto entry = [this](const TokenLogprob& token) {
    std::string bytes = head_.tokenizer == nullptr ? "" : head_.tokenizer->bytesOf(token.token);
    Json numbers = Json::array();
    for (char c : bytes) numbers.push_back(static_cast<uint8_t>(c));
    return Json{{"token", tokenText(token.token)},
                {"logprob", token.logprob},
                {"bytes", std::move(numbers)}};
  };
  Json content = Json::array();
  for (const auto& token : tokens) {
    Json item = entry(token.chosen);
    item["top_logprobs"] = Json::array();
    for (const auto& other : token.likeliest) item["top_logprobs"].push_back(entry(other));
    content.push_back(std::move(item));
  }
  return {{"content", std::move(content)}};
}

// Without a tokenizer a token's number stands for its text.
std::string OpenAiAnswer::tokenText(TokenId token) const {
  if (head_.tokenizer == nullptr) return "token_id:" + std::to_string(token);
  return repairUtf8(head_.tokenizer->bytesOf(token));
}

Json OpenAiAnswer::usage() const {
  uint64_t prompt = 0;
  for (const auto& ids : head_.prompts) prompt += ids.size();
  return {{"prompt_tokens", prompt},
          {"completion_tokens", tokens_},
          {"total_tokens", prompt + tokens_}};
}

}  // namespace muster::worker

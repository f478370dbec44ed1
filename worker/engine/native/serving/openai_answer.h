// Answers as OpenAI's clients expect them, whole or as the events of a stream. Source: OpenAI's API
// reference; token ids as vLLM's server returns them.
#pragma once

#include "base/units.h"
#include "worker/engine/native/serving/answers.h"
#include "worker/engine/native/serving/openai_request.h"
#include "worker/engine/native/serving/tokenizer.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace muster::worker {

// Of one request. `prompts[i]` are the token ids of answers i * choices to (i + 1) * choices - 1.
struct AnswerHead {
  ApiKind kind = ApiKind::COMPLETION;
  std::string id;     // "cmpl-..." or "chatcmpl-..."
  std::string model;  // as it was asked for
  WallTime created;
  uint32_t choices = 1;
  bool logprobs = false;
  bool returnTokenIds = false;
  bool includeUsage = false;
  std::vector<std::vector<TokenId>> prompts;
  std::shared_ptr<const Tokenizer> tokenizer;  // may be null

  uint64_t answers() const { return prompts.size() * choices; }
};

class OpenAiAnswer {
 public:
  explicit OpenAiAnswer(AnswerHead head);

  // The event that says what is new of one answer, "data: {...}\n\n". After a failure it is the
  // error, and the stream ends there.
  std::string event(const NewPiece& piece);
  // What ends a stream without failure: usage where it is wanted, and [DONE].
  std::string end() const;
  // The whole answer of `pieces`, one of each answer, none failed.
  std::string whole(const std::vector<GenerationPiece>& pieces);

 private:
  using Json = nlohmann::ordered_json;
  Json base(const char* object) const;
  Json choice(uint32_t index, const GenerationPiece& piece);
  Json completionLogprobs(uint32_t index, const std::vector<TokenChoice>& tokens);
  Json chatLogprobs(const std::vector<TokenChoice>& tokens) const;
  std::string tokenText(TokenId token) const;
  Json usage() const;

  AnswerHead head_;
  std::vector<bool> begun_;            // by answer: its first event is out
  std::vector<uint64_t> textOffsets_;  // by answer: bytes of the tokens so far
  uint64_t tokens_ = 0;                // of all answers
};

}  // namespace muster::worker

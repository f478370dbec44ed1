// The engine's side of one answer: from chosen tokens to text, and to its end.
#pragma once

#include "worker/engine/native/serving/detokenizer.h"
#include "worker/engine/native/serving/generation.h"
#include "worker/engine/native/serving/stop_matcher.h"

#include <memory>
#include <optional>

namespace muster::worker {

class AnswerWriter {
 public:
  // `tokenizer` may be null: then the answer has tokens and no text.
  AnswerWriter(GenerationTask task, std::shared_ptr<const Tokenizer> tokenizer);

  const GenerationTask& task() const { return task_; }
  uint32_t produced() const { return produced_; }  // tokens so far

  // What the choice of one more token adds; its isLast() says whether the answer ends with it.
  GenerationPiece add(TokenChoice choice);

 private:
  bool isStopToken(TokenId token) const;
  void finish(GenerationPiece& piece, FinishReason reason);

  GenerationTask task_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::optional<Detokenizer> detokenizer_;
  StopMatcher matcher_;
  uint32_t produced_ = 0;
};

}  // namespace muster::worker

#include "worker/engine/native/serving/answer_writer.h"

#include <algorithm>
#include <utility>

namespace muster::worker {

AnswerWriter::AnswerWriter(GenerationTask task, std::shared_ptr<const Tokenizer> tokenizer)
    : task_(std::move(task)), tokenizer_(std::move(tokenizer)), matcher_(task_.stops) {
  if (tokenizer_ != nullptr) detokenizer_.emplace(*tokenizer_);
}

GenerationPiece AnswerWriter::add(TokenChoice choice) {
  ++produced_;
  TokenId token = choice.chosen.token;
  GenerationPiece piece;
  piece.tokens.push_back(std::move(choice));
  if (isStopToken(token)) {
    finish(piece, FinishReason::STOP);
    return piece;
  }
  if (detokenizer_) piece.text = matcher_.add(detokenizer_->add(token));
  if (matcher_.stopped()) {
    piece.finish = FinishReason::STOP;
  } else if (produced_ >= task_.tokensMax) {
    finish(piece, FinishReason::LENGTH);
  }
  return piece;
}

bool AnswerWriter::isStopToken(TokenId token) const {
  return std::find(task_.stopTokens.begin(), task_.stopTokens.end(), token) !=
         task_.stopTokens.end();
}

// Shows what has stayed back; a stop string may come to light only now.
void AnswerWriter::finish(GenerationPiece& piece, FinishReason reason) {
  if (detokenizer_) piece.text += matcher_.add(detokenizer_->finish());
  piece.text += matcher_.finish();
  piece.finish = matcher_.stopped() ? FinishReason::STOP : reason;
}

}  // namespace muster::worker

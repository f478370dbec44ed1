// Tokens into text as they come, in whole characters.
#pragma once

#include "worker/engine/native/serving/tokenizer.h"

#include <string>

namespace muster::worker {

class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  // What can be shown now: the bytes that may become a character with the next token stay back, and
  // those that never can become U+FFFD. Special tokens show nothing.
  std::string add(TokenId token);
  // What has stayed back.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  std::string pending_;
};

}  // namespace muster::worker

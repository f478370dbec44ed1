#include "worker/engine/native/serving/detokenizer.h"

#include "worker/engine/native/serving/utf8.h"

#include <utility>

namespace muster::worker {

std::string Detokenizer::add(TokenId token) {
  if (tokenizer_.isSpecial(token)) return {};
  pending_ += tokenizer_.bytesOf(token);
  size_t whole = pending_.size() - unfinishedUtf8(pending_);
  std::string text = repairUtf8(std::string_view(pending_).substr(0, whole));
  pending_.erase(0, whole);
  return text;
}

std::string Detokenizer::finish() { return repairUtf8(std::exchange(pending_, {})); }

}  // namespace muster::worker

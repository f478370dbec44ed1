// "; did you mean "gpu05"?" behind a NOT_FOUND.
#pragma once

#include "base/did_you_mean.h"

#include <string>
#include <string_view>
#include <vector>

namespace muster::coordinator {

// Empty when nothing is near, or the word is far longer than any name may be.
inline std::string hint(std::string_view word, const std::vector<std::string>& known) {
  constexpr size_t WORD_MAX = 128;
  if (word.size() > WORD_MAX) return "";
  std::string text = didYouMean(word, known);
  return text.empty() ? text : "; " + text;
}

}  // namespace muster::coordinator

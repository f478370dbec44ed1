// Patterns over Unicode text, as tokenizers state them. The adapter to PCRE2.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace muster::worker {

struct TextRange {
  size_t begin = 0;  // bytes, half-open
  size_t end = 0;
  bool operator==(const TextRange&) const = default;
};

// Cheap to copy; may be used from several threads.
class Regex {
 public:
  // Perl's syntax; \p{..}, \s and case folding are Unicode's. Refuses MODEL_CONFIG_INVALID with the
  // place and cause.
  static Result<Regex> compile(const std::string& pattern);

  // The matches from left to right, none empty, none overlapping. `text` must be valid UTF-8.
  // Refuses TOO_LARGE when the pattern needs more steps or memory than PCRE2's own limits allow:
  // a pattern that backtracks without bound cannot hold the thread.
  Result<std::vector<TextRange>> findAll(std::string_view text) const;

 private:
  struct Compiled;
  explicit Regex(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace muster::worker

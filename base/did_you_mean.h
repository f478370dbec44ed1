// Suggestions for misspelt words, one rule for YAML, TOML and the command line.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muster {

// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b` (optimal
// string alignment). Cost O(|a| * |b|). Source: Damerau, "A technique for computer detection and
// correction of spelling errors", 1964.
size_t editDistance(std::string_view a, std::string_view b);

// The candidate nearest to `word`, the first one of equals; nothing when none is near enough to be
// a likely misspelling (more than a third of the longer word, at least 1, would have to change).
std::optional<std::string> nearestWord(std::string_view word,
                                       const std::vector<std::string>& candidates);

// `did you mean "parallel"?`, or an empty text when nothing is near.
std::string didYouMean(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace muster

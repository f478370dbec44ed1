// "did you mean": names close to one that is not there.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace muster::coordinator {

// At most `countMax` of `known` within a third of the word's length (at least 2) in edits, nearest
// first, ties by name.
std::vector<std::string> nearNames(std::string_view word, const std::vector<std::string>& known,
                                   size_t countMax = 3);

// "; did you mean a or b?", or nothing.
std::string didYouMean(std::string_view word, const std::vector<std::string>& known);

}  // namespace muster::coordinator

#include "coordinator/core/near_names.h"

#include <algorithm>
#include <utility>

namespace muster::coordinator {
namespace {

// Levenshtein's distance, one row at a time: Skiena, The Algorithm Design Manual, 2nd ed., §8.2.
size_t editDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
    }
  }
  return row[b.size()];
}

}  // namespace

std::vector<std::string> nearNames(std::string_view word, const std::vector<std::string>& known,
                                   size_t countMax) {
  constexpr size_t LENGTH_MAX = 128;  // names are shorter; anything else is not worth the time
  if (word.size() > LENGTH_MAX) return {};
  size_t distanceMax = std::max<size_t>(2, word.size() / 3);
  std::vector<std::pair<size_t, std::string>> near;
  for (const auto& name : known) {
    size_t lengths =
        name.size() > word.size() ? name.size() - word.size() : word.size() - name.size();
    if (lengths > distanceMax) continue;
    size_t distance = editDistance(word, name);
    if (distance <= distanceMax && distance < word.size()) near.emplace_back(distance, name);
  }
  std::ranges::sort(near);
  if (near.size() > countMax) near.resize(countMax);
  std::vector<std::string> names;
  for (auto& [distance, name] : near) names.push_back(std::move(name));
  return names;
}

std::string didYouMean(std::string_view word, const std::vector<std::string>& known) {
  std::vector<std::string> names = nearNames(word, known);
  if (names.empty()) return "";
  std::string text = "; did you mean ";
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " or " : ", ";
    text += names[i];
  }
  return text + "?";
}

}  // namespace muster::coordinator

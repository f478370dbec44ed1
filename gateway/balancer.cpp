#include "gateway/balancer.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace muster::gateway {
namespace {

using Candidates = std::span<const Candidate>;

size_t byWeight(Candidates candidates, Random& random) {
  uint64_t total = 0;
  for (const auto& one : candidates) total += one.weight;
  uint64_t drawn = random.below(total);
  size_t place = 0;
  while (drawn >= candidates[place].weight) drawn -= candidates[place++].weight;
  return place;
}

// a holds less than b for its weight: a/wa < b/wb.
bool isLessLoaded(const Candidate& a, const Candidate& b) {
  return uint64_t{a.outstanding} * b.weight < uint64_t{b.outstanding} * a.weight;
}

size_t leastOutstanding(Candidates candidates, Random& random) {
  size_t best = 0;
  uint64_t equals = 1;
  for (size_t i = 1; i < candidates.size(); ++i) {
    if (isLessLoaded(candidates[i], candidates[best])) {
      best = i;
      equals = 1;
    } else if (!isLessLoaded(candidates[best], candidates[i]) && random.below(++equals) == 0) {
      best = i;
    }
  }
  return best;
}

uint64_t score(uint64_t prefix, std::string_view id) {
  return XXH3_64bits_withSeed(id.data(), id.size(), prefix);
}

size_t byPrefix(Candidates candidates, uint64_t prefix) {
  uint64_t outstanding = 1;  // with the new one
  uint64_t weights = 0;
  for (const auto& one : candidates) {
    outstanding += one.outstanding;
    weights += one.weight;
  }
  auto hasRoom = [&](const Candidate& one) {
    double share = static_cast<double>(outstanding) * one.weight / static_cast<double>(weights);
    return one.outstanding < std::ceil(share * PREFIX_OVERLOAD);
  };
  std::vector<size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, std::greater{},
                    [&](size_t i) { return score(prefix, candidates[i].id); });
  auto found = std::ranges::find_if(order, [&](size_t i) { return hasRoom(candidates[i]); });
  return found == order.end() ? order.front() : *found;
}

}  // namespace

size_t pickReplica(Balance policy, Candidates candidates, Turn turn) {
  switch (policy) {
    case Balance::ROUND_ROBIN:
      return turn.number % candidates.size();
    case Balance::RANDOM:
      return turn.random.below(candidates.size());
    case Balance::WEIGHTED:
      return byWeight(candidates, turn.random);
    case Balance::PREFIX:
      return byPrefix(candidates, turn.prefix);
    case Balance::LEAST_OUTSTANDING:
      break;
  }
  return leastOutstanding(candidates, turn.random);
}

}  // namespace muster::gateway

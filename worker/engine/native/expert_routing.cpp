#include "worker/engine/native/expert_routing.h"

#include <kj/debug.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace muster::worker {

std::vector<ExpertTokens> routeTokens(std::span<const float> scores, uint32_t experts,
                                      uint32_t perToken) {
  KJ_REQUIRE(perToken >= 1 && perToken <= experts, perToken, experts);
  std::vector<ExpertTokens> routed(experts);
  std::vector<uint32_t> order(experts);
  std::vector<float> factors(perToken);
  for (uint32_t row = 0; row < scores.size() / experts; ++row) {
    auto own = scores.subspan(uint64_t{row} * experts, experts);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return own[a] > own[b]; });
    float sum = 0;
    for (uint32_t i = 0; i < perToken; ++i) {
      factors[i] = std::exp(own[order[i]] - own[order[0]]);
      sum += factors[i];
    }
    for (uint32_t i = 0; i < perToken; ++i) {
      routed[order[i]].rows.push_back(row);
      routed[order[i]].factors.push_back(factors[i] / sum);
    }
  }
  return routed;
}

}  // namespace muster::worker

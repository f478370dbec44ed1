// Which experts compute which tokens.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace muster::worker {

// The tokens of one expert, ascending, and by how much its output counts for each.
struct ExpertTokens {
  std::vector<uint32_t> rows;
  std::vector<float> factors;
};

// Each token goes to its `perToken` experts of the highest scores, ties to the lower number; the
// factors are the softmax of their scores. `scores`: shape [tokens][experts]. Returns shape
// [experts]. Source: Jiang et al., Mixtral of Experts, arXiv 2401.04088, section 2.1.
std::vector<ExpertTokens> routeTokens(std::span<const float> scores, uint32_t experts,
                                      uint32_t perToken);

}  // namespace muster::worker

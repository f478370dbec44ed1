// How near computed logits must come to the reference's.
#pragma once

#include <vector>

namespace muster::testing {

using LogitRows = std::vector<std::vector<float>>;  // shape [positions][vocabulary]

// Single precision: within 1e-3, and the same best token everywhere.
void expectExact(const LogitRows& computed, const LogitRows& wanted);

// Rounded weights: within 2e-2 of the row's largest magnitude; the same best token wherever the
// reference's leads by more than twice that, which at least nine positions of ten must.
void expectClose(const LogitRows& computed, const LogitRows& wanted);

}  // namespace muster::testing

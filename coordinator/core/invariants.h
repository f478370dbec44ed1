// The invariants of the state, checked in full: for tests and the simulation, after every step.
#pragma once

#include "coordinator/core/state.h"

#include <string>
#include <vector>

namespace muster::coordinator {

// One sentence for each violation, with the ids it is about; empty when all hold. Cost O(state).
std::vector<std::string> violations(const State& state);

// The same without making everything derived, the hash among it, once more: cheaper by far.
std::vector<std::string> brokenRules(const State& state);

}  // namespace muster::coordinator

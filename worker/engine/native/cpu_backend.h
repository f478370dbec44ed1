// The CPU as a device: host memory, one thread, the best instructions that this machine has.
#pragma once

#include "worker/engine/native/backend.h"

#include <kj/memory.h>

#include <string>
#include <vector>

namespace muster::worker {

// Names of the sets of instructions that this CPU can run, the best one last: "plain", "avx2",
// "avx512".
std::vector<std::string> cpuInstructionSets();

// `instructions`: one of cpuInstructionSets(); empty: the best one. Throws on any other.
kj::Own<Backend> makeCpuBackend(const std::string& instructions = "");

}  // namespace muster::worker

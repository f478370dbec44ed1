// Which device a rank computes on, by what its agent says.
#pragma once

#include "base/result.h"
#include "worker/engine/native/backend.h"

#include <kj/memory.h>

#include <string>

namespace muster::worker {

// The GPU with this UUID, or the CPU when `gpu` is empty; a rank that was placed on a GPU never
// computes on the CPU instead. Blocks for seconds while CUDA begins. Refuses GPU_UNUSABLE, saying
// what is missing and what to do. `library`: as CudaLibrary::load() takes it.
Result<kj::Own<Backend>> openBackend(const std::string& gpu, const std::string& library = "");

}  // namespace muster::worker

// A GPU as a device of the native engine, through libmuster_cuda.so.
#pragma once

#include "worker/collective/collective.h"
#include "worker/engine/native/backend.h"
#include "worker/engine/native/cuda_library.h"

#include <kj/memory.h>

#include <memory>
#include <string>

namespace muster::worker {

// The GPU with this index among those the process sees. Throws when it cannot be opened.
// `uuid`: its own, needed for collectives between GPUs only.
kj::Own<Backend> makeCudaBackend(std::shared_ptr<const CudaLibrary> library, uint32_t gpu,
                                 std::string uuid = "");

// NCCL among the ranks of `host`, on the memory of `backend`, which makeCudaBackend() made and must
// outlive it. All ranks call it together, since they exchange the communicator's id over `host`.
// `deadline`: of each operation. Throws CollectiveBroken when not all ranks come, a kj::Exception
// when the library was built without NCCL.
kj::Own<Collective> makeCudaCollective(Backend& backend, Collective& host, Duration deadline);

}  // namespace muster::worker

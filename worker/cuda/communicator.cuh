// NCCL communicators of a device. Without NCCL every function says so.
#pragma once

#include "worker/cuda/device.cuh"

#include <cstdint>

namespace muster::cuda {

void makeCommunicatorId(void* id);  // 128 bytes
MusterCudaCommunicator* join(MusterCudaDevice& device, const void* id, uint32_t rank, uint32_t size,
                             uint32_t timeoutMs);
void leave(MusterCudaCommunicator* communicator);
void abort(MusterCudaCommunicator& communicator);  // from any thread

// Each waits until the device has done it, and throws when it is aborted or too late.
void allReduceSum(MusterCudaCommunicator& communicator, float* values, uint64_t count);
void allGather(MusterCudaCommunicator& communicator, const void* mine, uint64_t bytes, void* all);
void broadcast(MusterCudaCommunicator& communicator, void* values, uint64_t bytes, uint32_t root);
void send(MusterCudaCommunicator& communicator, const void* values, uint64_t bytes, uint32_t to);
void receive(MusterCudaCommunicator& communicator, void* values, uint64_t bytes, uint32_t from);

}  // namespace muster::cuda

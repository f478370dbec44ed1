// Communicators are non-blocking ones: NCCL's own waiting has no end when a member is gone, so we
// ask again and again until the deadline, and abort then.
#include "worker/cuda/communicator.cuh"

#include <nccl.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>

namespace muster::cuda {
namespace {

using SteadyClock = std::chrono::steady_clock;

void ncclCheck(ncclResult_t result, const char* what) {
  if (result == ncclSuccess || result == ncclInProgress) return;
  throw std::runtime_error(std::string(what) + ": " + ncclGetErrorString(result));
}

}  // namespace
}  // namespace muster::cuda

struct MusterCudaCommunicator {
  MusterCudaCommunicator(MusterCudaDevice& device, uint32_t timeoutMs)
      : device(device), timeout(timeoutMs) {}
  MusterCudaCommunicator(const MusterCudaCommunicator&) = delete;
  MusterCudaCommunicator& operator=(const MusterCudaCommunicator&) = delete;
  ~MusterCudaCommunicator() { abort(); }

  // Abort rather than destroy: destroying waits for members that may be gone.
  void abort() {
    if (!aborted.exchange(true) && communicator != nullptr) ncclCommAbort(communicator);
  }
  // Asks `isDone` until it says yes.
  template <class IsDone>
  void await(const char* what, IsDone isDone) {
    const auto deadline = muster::cuda::SteadyClock::now() + timeout;
    while (!isDone()) {
      if (aborted) throw std::runtime_error(std::string(what) + ": aborted");
      if (muster::cuda::SteadyClock::now() >= deadline) {
        abort();
        throw std::runtime_error(std::string(what) + ": not complete within " +
                                 std::to_string(timeout.count()) + " ms");
      }
      std::this_thread::yield();
    }
    if (aborted) throw std::runtime_error(std::string(what) + ": aborted");
  }
  bool isSettled(const char* what) {
    ncclResult_t state = ncclSuccess;
    muster::cuda::ncclCheck(ncclCommGetAsyncError(communicator, &state), what);
    muster::cuda::ncclCheck(state, what);
    return state == ncclSuccess;
  }
  // Enqueues an operation and waits for the device to have done it.
  template <class Operation>
  void run(const char* what, Operation operation) {
    if (aborted) throw std::runtime_error(std::string(what) + ": aborted");
    device.use();
    muster::cuda::ncclCheck(operation(), what);
    await(what, [&] { return isSettled(what); });
    await(what, [&] {
      const cudaError_t state = cudaStreamQuery(device.stream);
      if (state != cudaErrorNotReady) muster::cuda::cudaCheck(state, what);
      return state == cudaSuccess && isSettled(what);
    });
  }

  MusterCudaDevice& device;
  std::chrono::milliseconds timeout;
  ncclComm_t communicator = nullptr;
  std::atomic<bool> aborted{false};
};

namespace muster::cuda {

void makeCommunicatorId(void* id) {
  ncclUniqueId unique;
  ncclCheck(ncclGetUniqueId(&unique), "ncclGetUniqueId");
  std::memcpy(id, &unique, sizeof unique);
}

MusterCudaCommunicator* join(MusterCudaDevice& device, const void* id, uint32_t rank, uint32_t size,
                             uint32_t timeoutMs) {
  constexpr const char* WHAT = "joining a communicator";
  device.use();
  ncclUniqueId unique;
  std::memcpy(&unique, id, sizeof unique);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  auto made = std::make_unique<MusterCudaCommunicator>(device, timeoutMs);
  ncclCheck(ncclCommInitRankConfig(&made->communicator, static_cast<int>(size), unique,
                                   static_cast<int>(rank), &config),
            WHAT);
  made->await(WHAT, [&] { return made->isSettled(WHAT); });
  return made.release();
}

void leave(MusterCudaCommunicator* communicator) { delete communicator; }
void abort(MusterCudaCommunicator& communicator) { communicator.abort(); }

void allReduceSum(MusterCudaCommunicator& communicator, float* values, uint64_t count) {
  communicator.run("all-reduce", [&] {
    return ncclAllReduce(values, values, count, ncclFloat, ncclSum, communicator.communicator,
                         communicator.device.stream);
  });
}

void allGather(MusterCudaCommunicator& communicator, const void* mine, uint64_t bytes, void* all) {
  communicator.run("all-gather", [&] {
    return ncclAllGather(mine, all, bytes, ncclUint8, communicator.communicator,
                         communicator.device.stream);
  });
}

void broadcast(MusterCudaCommunicator& communicator, void* values, uint64_t bytes, uint32_t root) {
  communicator.run("broadcast", [&] {
    return ncclBroadcast(values, values, bytes, ncclUint8, static_cast<int>(root),
                         communicator.communicator, communicator.device.stream);
  });
}

void send(MusterCudaCommunicator& communicator, const void* values, uint64_t bytes, uint32_t to) {
  communicator.run("send", [&] {
    return ncclSend(values, bytes, ncclUint8, static_cast<int>(to), communicator.communicator,
                    communicator.device.stream);
  });
}

void receive(MusterCudaCommunicator& communicator, void* values, uint64_t bytes, uint32_t from) {
  communicator.run("receive", [&] {
    return ncclRecv(values, bytes, ncclUint8, static_cast<int>(from), communicator.communicator,
                    communicator.device.stream);
  });
}

}  // namespace muster::cuda

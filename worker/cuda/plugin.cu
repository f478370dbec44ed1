// The library's one symbol: the table of functions, each guarded against exceptions.
#include "worker/cuda/communicator.cuh"
#include "worker/cuda/operations.cuh"

#include <cstdio>
#include <type_traits>

namespace muster::cuda {
namespace {

using Device = MusterCudaDevice;
using Communicator = MusterCudaCommunicator;

const char* lastError() { return errorText().c_str(); }

uint32_t deviceCount() {
  int count = 0;
  const bool counted =
      guarded([&] { cudaCheck(cudaGetDeviceCount(&count), "cudaGetDeviceCount"); });
  return counted && count > 0 ? static_cast<uint32_t>(count) : 0;
}

void writeUuid(const cudaUUID_t& uuid, char (&text)[64]) {
  int at = std::snprintf(text, sizeof text, "GPU");
  for (int i = 0; i < 16; ++i) {
    const bool dash = i == 0 || i == 4 || i == 6 || i == 8 || i == 10;
    at += std::snprintf(text + at, sizeof text - static_cast<size_t>(at), "%s%02x", dash ? "-" : "",
                        static_cast<unsigned char>(uuid.bytes[i]));
  }
}

bool describe(uint32_t device, MusterCudaDeviceInfo* info) {
  return guarded([&] {
    cudaDeviceProp properties{};
    cudaCheck(cudaGetDeviceProperties(&properties, static_cast<int>(device)),
              "cudaGetDeviceProperties");
    cudaCheck(cudaSetDevice(static_cast<int>(device)), "cudaSetDevice");
    size_t free = 0;
    size_t total = 0;
    cudaCheck(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    *info = {};
    std::snprintf(info->name, sizeof info->name, "%s", properties.name);
    writeUuid(properties.uuid, info->uuid);
    cudaCheck(cudaDeviceGetPCIBusId(info->busId, sizeof info->busId, static_cast<int>(device)),
              "cudaDeviceGetPCIBusId");
    info->totalBytes = total;
    info->freeBytes = free;
    info->computeMajor = static_cast<uint32_t>(properties.major);
    info->computeMinor = static_cast<uint32_t>(properties.minor);
  });
}

Device* open(uint32_t device) {
  Device* opened = nullptr;
  guarded([&] { opened = new Device(static_cast<int>(device)); });
  return opened;
}
void close(Device* device) { delete device; }

void* allocate(Device* device, uint64_t bytes) {
  void* memory = nullptr;
  const bool allocated = guarded([&] {
    device->use();
    cudaCheck(cudaMalloc(&memory, bytes == 0 ? 1 : bytes), "cudaMalloc");
    cudaCheck(cudaMemsetAsync(memory, 0, bytes, device->stream), "cudaMemset");
  });
  if (allocated) return memory;
  cudaFree(memory);
  return nullptr;
}

void release(Device* device, void* memory) {
  cudaSetDevice(device->number);
  cudaFree(memory);  // waits for what uses it
}

bool upload(Device* device, void* to, const void* from, uint64_t bytes) {
  return guarded([&] {
    device->use();
    cudaCheck(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, device->stream),
              "copy to the device");
    cudaCheck(cudaStreamSynchronize(device->stream), "copy to the device");
  });
}

bool download(Device* device, void* to, const void* from, uint64_t bytes) {
  return guarded([&] {
    device->use();
    cudaCheck(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, device->stream),
              "copy from the device");
    cudaCheck(cudaStreamSynchronize(device->stream), "copy from the device");
  });
}

bool clear(Device* device, float* out, uint64_t count) {
  return guarded([&] {
    device->use();
    cudaCheck(cudaMemsetAsync(out, 0, count * sizeof(float), device->stream), "cudaMemset");
  });
}

bool begin(Device* device, const MusterCudaBatch* batch) {
  return guarded([&] {
    device->use();
    device->batch = device->upload.take(*batch, device->stream);
  });
}

// A function of the table for an operation of operations.h, whose structs come by reference there.
template <auto OPERATION, class... Arguments>
bool onDevice(Device* device, Arguments... arguments) {
  auto dereferenced = [](auto argument) -> decltype(auto) {
    using Argument = decltype(argument);
    if constexpr (std::is_same_v<Argument, const MusterCudaMatrix*> ||
                  std::is_same_v<Argument, const MusterCudaCache*> ||
                  std::is_same_v<Argument, const MusterCudaAttention*>) {
      return *argument;
    } else {
      return argument;
    }
  };
  return guarded([&] {
    device->use();
    OPERATION(*device, dereferenced(arguments)...);
  });
}

template <auto OPERATION, class... Arguments>
bool onCommunicator(Communicator* communicator, Arguments... arguments) {
  return guarded([&] { OPERATION(*communicator, arguments...); });
}

bool guardedMakeId(void* id) {
  return guarded([&] { makeCommunicatorId(id); });
}

Communicator* guardedJoin(Device* device, const void* id, uint32_t rank, uint32_t size,
                          uint32_t timeoutMs) {
  Communicator* joined = nullptr;
  guarded([&] { joined = join(*device, id, rank, size, timeoutMs); });
  return joined;
}

void guardedAbort(Communicator* communicator) { abort(*communicator); }

MusterCudaPlugin makePlugin() {
  MusterCudaPlugin plugin{};
  plugin.abi = MUSTER_CUDA_ABI;
  plugin.lastError = lastError;
  plugin.deviceCount = deviceCount;
  plugin.describe = describe;
  plugin.open = open;
  plugin.close = close;
  plugin.allocate = allocate;
  plugin.release = release;
  plugin.upload = upload;
  plugin.download = download;
  plugin.begin = begin;
  plugin.embed = onDevice<embed>;
  plugin.rmsNorm = onDevice<rmsNorm>;
  plugin.multiply = onDevice<multiply>;
  plugin.rotate = onDevice<rotate>;
  plugin.store = onDevice<storeTokens>;
  plugin.attend = onDevice<attend>;
  plugin.gate = onDevice<gate>;
  plugin.clear = clear;
  plugin.add = onDevice<add>;
  plugin.gatherRows = onDevice<gatherRows>;
  plugin.addScaledRows = onDevice<addScaledRows>;
#ifdef MUSTER_NCCL
  plugin.makeCommunicatorId = guardedMakeId;
  plugin.join = guardedJoin;
  plugin.leave = leave;
  plugin.allReduceSum = onCommunicator<allReduceSum>;
  plugin.allGather = onCommunicator<allGather>;
  plugin.broadcast = onCommunicator<broadcast>;
  plugin.send = onCommunicator<send>;
  plugin.receive = onCommunicator<receive>;
  plugin.abort = guardedAbort;
#endif
  return plugin;
}

}  // namespace
}  // namespace muster::cuda

extern "C" const MusterCudaPlugin* musterCudaPlugin() {
  static const MusterCudaPlugin plugin = muster::cuda::makePlugin();
  return &plugin;
}

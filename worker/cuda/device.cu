#include "worker/cuda/device.cuh"

#include <cstring>
#include <vector>

namespace muster::cuda {

void* Scratch::room(uint64_t bytes) {
  if (bytes <= bytes_) return memory_;
  cudaCheck(cudaFree(memory_), "cudaFree of scratch memory");
  memory_ = nullptr;
  bytes_ = 0;
  cudaCheck(cudaMalloc(&memory_, bytes), "cudaMalloc of scratch memory");
  bytes_ = bytes;
  return memory_;
}

namespace {

// Copies arrays one after the other into one piece of memory.
class Packer {
 public:
  explicit Packer(uint64_t bytes) { bytes_.reserve(bytes); }
  template <class T>
  uint64_t add(const T* values, uint64_t count) {
    const uint64_t at = bytes_.size();
    bytes_.resize(at + count * sizeof(T));
    if (count > 0) std::memcpy(bytes_.data() + at, values, count * sizeof(T));
    return at;
  }
  const std::vector<unsigned char>& bytes() const { return bytes_; }

 private:
  std::vector<unsigned char> bytes_;
};

}  // namespace

DeviceBatch BatchUpload::take(const MusterCudaBatch& batch, cudaStream_t stream) {
  const uint64_t rotations = uint64_t{batch.rows} * batch.rotationPairs * 2;
  Packer packer(rotations * sizeof(float) + (3 * uint64_t{batch.rows} + batch.blockCount) * 4);
  const uint64_t rotationsAt = packer.add(batch.rotations, rotations);  // first: aligned for float2
  const uint64_t tokensAt = packer.add(batch.tokens, batch.rows);
  const uint64_t positionsAt = packer.add(batch.positions, batch.rows);
  const uint64_t firstBlocksAt = packer.add(batch.firstBlocks, batch.rows);
  const uint64_t blocksAt = packer.add(batch.blocks, batch.blockCount);
  auto* memory = static_cast<unsigned char*>(memory_.room(packer.bytes().size()));
  // From pageable memory: the copy has left it when the call returns.
  cudaCheck(cudaMemcpyAsync(memory, packer.bytes().data(), packer.bytes().size(),
                            cudaMemcpyHostToDevice, stream),
            "copy of a batch");
  return {batch.rows,
          batch.rotationPairs,
          reinterpret_cast<const uint32_t*>(memory + tokensAt),
          reinterpret_cast<const float2*>(memory + rotationsAt),
          reinterpret_cast<const uint32_t*>(memory + positionsAt),
          reinterpret_cast<const uint32_t*>(memory + firstBlocksAt),
          reinterpret_cast<const uint32_t*>(memory + blocksAt)};
}

}  // namespace muster::cuda

MusterCudaDevice::MusterCudaDevice(int number) : number(number) {
  use();
  muster::cuda::cudaCheck(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking),
                          "cudaStreamCreate");
  muster::cuda::cublasCheck(cublasCreate(&cublas), "cublasCreate");
  muster::cuda::cublasCheck(cublasSetStream(cublas, stream), "cublasSetStream");
}

MusterCudaDevice::~MusterCudaDevice() {
  cudaSetDevice(number);
  if (cublas != nullptr) cublasDestroy(cublas);
  if (stream != nullptr) cudaStreamDestroy(stream);
}

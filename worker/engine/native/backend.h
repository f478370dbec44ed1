// What a device must be able to do for the native engine: hold memory and weights, and compute the
// few operations a transformer consists of.
//
// A backend is used by one thread, the engine's. Its operations run in the order of the calls; they
// may return before they are done (a stream of a GPU), but download() waits. Pointers into device
// memory are only ever handed back to the backend, unless memory() says that they are the host's.
// None of the operations allocates. All activations are single precision.
#pragma once

#include "protocol/model.h"
#include "protocol/plan.h"
#include "worker/engine/native/batch.h"
#include "worker/engine/native/direct_device.h"
#include "worker/engine/native/slice_load.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace muster::worker {

enum class MemoryKind : uint8_t { HOST, DEVICE };

// Rows of numbers in device memory without gaps: row r starts at data + r * width.
struct ConstActivations {
  const float* data = nullptr;
  uint32_t rows = 0;
  uint32_t width = 0;
};
struct Activations {
  float* data = nullptr;
  uint32_t rows = 0;
  uint32_t width = 0;
  operator ConstActivations() const {  // NOLINT(google-explicit-constructor): reading only is less
    return {data, rows, width};
  }
  uint64_t count() const { return uint64_t{rows} * width; }
};

// A matrix as it comes from a file: row-major, `dtype` F32, F16 or BF16.
struct MatrixSource {
  uint32_t rows = 0;  // outputs
  uint32_t columns = 0;
  Dtype dtype = Dtype::BF16;
  WeightFormat format = WeightFormat::STORED;
  AlignedBytes bytes;
};

// A matrix of weights as a backend keeps it. Must not outlive its backend.
class WeightMatrix {
 public:
  virtual ~WeightMatrix() noexcept(false) = default;
  virtual uint32_t rows() const = 0;
  virtual uint32_t columns() const = 0;
};

struct KvCacheLayout {
  uint32_t layers = 0;  // of this rank's stage
  uint32_t kvHeads = 0;
  uint32_t headSize = 0;
  Dtype dtype = Dtype::F32;  // of the kept keys and values: F32, F16 or BF16
  KvCacheShape shape;
};

// The paged keys and values of one rank. Must not outlive its backend.
class KvCache {
 public:
  virtual ~KvCache() noexcept(false) = default;
};

struct AttentionShape {
  uint32_t layer = 0;  // counted from the stage's first one
  uint32_t heads = 0;  // of queries on this rank
  uint32_t kvHeads = 0;
  uint32_t headSize = 0;
  uint32_t window = 0;  // tokens that a query looks back, itself included; 0: all
};

class Backend {
 public:
  virtual ~Backend() noexcept(false) = default;

  virtual std::string name() const = 0;  // "cpu (avx512)"
  virtual MemoryKind memory() const = 0;
  // For collectives between devices; null when sums go through the host's memory.
  virtual DirectDevice* direct() { return nullptr; }

  // Device memory, aligned to 64 bytes, zeroed. Throws when there is not enough.
  virtual void* allocate(uint64_t bytes) = 0;
  virtual void release(void* memory) = 0;
  virtual void upload(void* to, std::span<const std::byte> from) = 0;
  virtual void download(std::span<std::byte> to, const void* from) = 0;

  // Takes the bytes over. Throws when the device has not enough memory.
  virtual std::unique_ptr<WeightMatrix> makeMatrix(MatrixSource source) = 0;
  virtual std::unique_ptr<KvCache> makeCache(const KvCacheLayout& layout) = 0;

  // The batch that the operations below mean by positions, rotations and blocks, until the next
  // one. The caller keeps it alive.
  virtual void begin(const Batch& batch) = 0;

  // Row r of `out` is row batch.tokens[r] - firstRow of the table, or zero where the table, a part
  // of the vocabulary, does not have it.
  virtual void embed(const WeightMatrix& table, uint32_t firstRow, Activations out) = 0;

  // out = in / rms(in) * weight, row by row; `weight`: shape [width]. `out` may be `in`.
  virtual void rmsNorm(ConstActivations in, const float* weight, float epsilon,
                       Activations out) = 0;

  // out[r][n] = sum over k of in[r][k] * weights[n][k], plus bias[n] unless `bias` is null.
  virtual void multiply(const WeightMatrix& weights, ConstActivations in, const float* bias,
                        Activations out) = 0;

  // Rotates each head of each row by the row's rotations. `headsOfRows`: width is heads * headSize.
  virtual void rotate(Activations headsOfRows, uint32_t headSize) = 0;

  // Stores the keys and values of the batch's tokens at their positions. Both: width is
  // kvHeads * headSize.
  virtual void store(KvCache& cache, const AttentionShape& shape, ConstActivations keys,
                     ConstActivations values) = 0;

  // Causal softmax attention of each row over the stored positions of its sequence, its own
  // included. Query head h reads key/value head h * kvHeads / heads. Width of both: heads *
  // headSize.
  virtual void attend(const KvCache& cache, const AttentionShape& shape, ConstActivations queries,
                      Activations out) = 0;

  // out = silu(gate) * up. `out` may be `gate`.
  virtual void gate(ConstActivations gate, ConstActivations up, Activations out) = 0;

  virtual void clear(Activations out) = 0;  // to zero

  // sum += term, element by element; `bias`, shape [width], is added to each row unless null.
  virtual void add(Activations sum, ConstActivations term, const float* bias) = 0;

  // Row i of `out` is row rows[i] of `in`. `rows` lies in host memory.
  virtual void gatherRows(ConstActivations in, std::span<const uint32_t> rows, Activations out) = 0;

  // Row rows[i] of `sum` grows by factors[i] times row i of `terms`, in the order of i. `rows` and
  // `factors` lie in host memory; no row comes twice.
  virtual void addScaledRows(Activations sum, std::span<const uint32_t> rows,
                             std::span<const float> factors, ConstActivations terms) = 0;
};

// Device memory with an owner.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(Backend& backend, uint64_t bytes)
      : backend_(&backend), memory_(backend.allocate(bytes)), bytes_(bytes) {}
  DeviceBuffer(DeviceBuffer&& other) noexcept { swap(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    DeviceBuffer taken(std::move(other));
    swap(taken);
    return *this;
  }
  ~DeviceBuffer() noexcept(false) {
    if (memory_ != nullptr) backend_->release(memory_);
  }
  float* floats() const { return static_cast<float*>(memory_); }
  void* memory() const { return memory_; }
  uint64_t bytes() const { return bytes_; }

 private:
  void swap(DeviceBuffer& other) noexcept {
    std::swap(backend_, other.backend_);
    std::swap(memory_, other.memory_);
    std::swap(bytes_, other.bytes_);
  }

  Backend* backend_ = nullptr;
  void* memory_ = nullptr;
  uint64_t bytes_ = 0;
};

}  // namespace muster::worker

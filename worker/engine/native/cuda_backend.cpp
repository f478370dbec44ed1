#include "worker/engine/native/cuda_backend.h"

#include "worker/engine/native/cpu_matrix.h"
#include "worker/engine/native/cuda_device.h"

#include <kj/debug.h>

namespace muster::worker {
namespace {

MusterCudaType typeOf(ElementType type) {
  switch (type) {
    case ElementType::F32:
      return MUSTER_F32;
    case ElementType::F16:
      return MUSTER_F16;
    case ElementType::BF16:
      return MUSTER_BF16;
    case ElementType::INT8:
      return MUSTER_INT8;
  }
  KJ_UNREACHABLE;
}

// Weights on the device: rounded on the host where that is asked, as the CPU does it, then copied.
class CudaMatrix final : public WeightMatrix {
 public:
  CudaMatrix(Backend& backend, const CpuMatrix& source)
      : rows_(source.rows()), columns_(source.columns()) {
    const StoredRows stored = source.stored();
    type_ = typeOf(stored.type);
    copy(backend, elements_, stored.elements, rows_ * stored.stride * elementBytes(stored.type));
    if (stored.type == ElementType::INT8) {
      copy(backend, scales_, stored.scales, rows_ * stored.scaleStride * sizeof(float));
    }
  }
  uint32_t rows() const override { return rows_; }
  uint32_t columns() const override { return columns_; }
  MusterCudaMatrix view() const {
    return {elements_.memory(), scales_.floats(), rows_, columns_, type_};
  }

 private:
  static void copy(Backend& backend, DeviceBuffer& to, const void* from, uint64_t bytes) {
    to = DeviceBuffer(backend, bytes);
    backend.upload(to.memory(), {static_cast<const std::byte*>(from), bytes});
  }

  uint32_t rows_;
  uint32_t columns_;
  MusterCudaType type_ = MUSTER_F32;
  DeviceBuffer elements_;
  DeviceBuffer scales_;
};

class CudaCache final : public KvCache {
 public:
  CudaCache(Backend& backend, const KvCacheLayout& layout)
      : layout_(layout), keys_(backend, bytesOf(layout)), values_(backend, bytesOf(layout)) {}
  MusterCudaCache view() const {
    return {keys_.memory(),
            values_.memory(),
            layout_.shape.blocks,
            layout_.shape.blockTokens,
            layout_.kvHeads,
            layout_.headSize,
            typeOf(elementTypeOf(layout_.dtype))};
  }

 private:
  static uint64_t bytesOf(const KvCacheLayout& layout) {
    return uint64_t{layout.layers} * layout.shape.blocks * layout.kvHeads *
           layout.shape.blockTokens * layout.headSize * bytesPerElement(layout.dtype);
  }

  KvCacheLayout layout_;
  DeviceBuffer keys_;
  DeviceBuffer values_;
};

MusterCudaMatrix viewOf(const WeightMatrix& matrix) {
  return static_cast<const CudaMatrix&>(matrix).view();
}
MusterCudaCache viewOf(const KvCache& cache) { return static_cast<const CudaCache&>(cache).view(); }

class CudaBackend final : public CudaDevice, public DirectDevice {
 public:
  CudaBackend(std::shared_ptr<const CudaLibrary> library, uint32_t gpu, std::string uuid)
      : CudaDevice(std::move(library), gpu), uuid_(std::move(uuid)) {}

  DirectDevice* direct() override {
    return uuid_.empty() || call().join == nullptr ? nullptr : this;
  }
  std::string uuid() const override { return uuid_; }
  kj::Own<Collective> makeCollective(Collective& host, Duration deadline) override {
    return makeCudaCollective(*this, host, deadline);
  }

  std::unique_ptr<WeightMatrix> makeMatrix(MatrixSource source) override {
    return std::make_unique<CudaMatrix>(*this, CpuMatrix(std::move(source)));
  }
  std::unique_ptr<KvCache> makeCache(const KvCacheLayout& layout) override {
    return std::make_unique<CudaCache>(*this, layout);
  }

  void begin(const Batch& batch) override;
  void embed(const WeightMatrix& table, uint32_t firstRow, Activations out) override {
    auto view = viewOf(table);
    check(call().embed(device(), &view, firstRow, out.rows, out.data), "embedding");
  }
  void rmsNorm(ConstActivations in, const float* weight, float epsilon, Activations out) override {
    check(call().rmsNorm(device(), in.data, weight, epsilon, in.rows, in.width, out.data), "norm");
  }
  void multiply(const WeightMatrix& weights, ConstActivations in, const float* bias,
                Activations out) override {
    auto view = viewOf(weights);
    KJ_REQUIRE(in.width == view.columns && out.width == view.rows && in.rows == out.rows,
               "shapes of a product do not fit", in.width, view.columns, out.width, view.rows);
    check(call().multiply(device(), &view, in.data, bias, in.rows, out.data), "product");
  }
  void rotate(Activations heads, uint32_t headSize) override {
    check(call().rotate(device(), heads.data, heads.rows, heads.width, headSize), "rotation");
  }
  void store(KvCache& cache, const AttentionShape& shape, ConstActivations keys,
             ConstActivations values) override {
    auto view = viewOf(cache);
    check(call().store(device(), &view, shape.layer, keys.data, values.data, keys.rows),
          "store of keys and values");
  }
  void attend(const KvCache& cache, const AttentionShape& shape, ConstActivations queries,
              Activations out) override {
    auto view = viewOf(cache);
    MusterCudaAttention attention{shape.layer, shape.heads, shape.window};
    check(call().attend(device(), &view, &attention, queries.data, queries.rows, out.data),
          "attention");
  }
  void gate(ConstActivations gate, ConstActivations up, Activations out) override {
    check(call().gate(device(), gate.data, up.data, out.data, out.count()), "gate");
  }
  void clear(Activations out) override {
    check(call().clear(device(), out.data, out.count()), "clearing");
  }
  void add(Activations sum, ConstActivations term, const float* bias) override {
    check(call().add(device(), sum.data, term.data, bias, sum.rows, sum.width), "addition");
  }
  void gatherRows(ConstActivations in, std::span<const uint32_t> rows, Activations out) override {
    check(call().gatherRows(device(), in.data, in.width, rows.data(),
                            static_cast<uint32_t>(rows.size()), out.data),
          "gathering of rows");
  }
  void addScaledRows(Activations sum, std::span<const uint32_t> rows,
                     std::span<const float> factors, ConstActivations terms) override {
    check(call().addScaledRows(device(), sum.data, sum.width, rows.data(), factors.data(),
                               static_cast<uint32_t>(rows.size()), terms.data),
          "addition of scaled rows");
  }

 private:
  std::string uuid_;
};

void CudaBackend::begin(const Batch& batch) {
  std::vector<uint32_t> positions;
  std::vector<uint32_t> firstBlocks;
  std::vector<uint32_t> blocks;
  for (const auto& run : batch.runs) {
    for (uint32_t i = 0; i < run.rows; ++i) {
      positions.push_back(run.firstPosition + i);
      firstBlocks.push_back(static_cast<uint32_t>(blocks.size()));
    }
    blocks.insert(blocks.end(), run.blocks.begin(), run.blocks.end());
  }
  const uint32_t rows = batch.rows();
  MusterCudaBatch view{
      .rows = rows,
      .rotationPairs = rows == 0 ? 0 : static_cast<uint32_t>(batch.rotations.size() / rows),
      .blockCount = static_cast<uint32_t>(blocks.size()),
      .tokens = batch.tokens.data(),
      .rotations = reinterpret_cast<const float*>(batch.rotations.data()),
      .positions = positions.data(),
      .firstBlocks = firstBlocks.data(),
      .blocks = blocks.data()};
  check(call().begin(device(), &view), "begin of a batch");
}

static_assert(sizeof(Rotation) == 2 * sizeof(float), "rotations cross the boundary as they are");

}  // namespace

kj::Own<Backend> makeCudaBackend(std::shared_ptr<const CudaLibrary> library, uint32_t gpu,
                                 std::string uuid) {
  return kj::heap<CudaBackend>(std::move(library), gpu, std::move(uuid));
}

}  // namespace muster::worker

#include "worker/engine/native/cpu_backend.h"

#include "worker/engine/native/cpu_attention.h"
#include "worker/engine/native/cpu_kernels.h"
#include "worker/engine/native/cpu_matrix.h"
#include "worker/engine/native/element_math.h"

#include <kj/debug.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

namespace muster::worker {
namespace {

constexpr uint64_t ROW_ALIGNMENT = 64;

std::span<const CpuKernels* const> allKernels() {
  size_t count = 0;
  const CpuKernels* const* kernels = runnableKernels(count);
  return {kernels, count};
}

const float* rowOf(ConstActivations from, uint32_t row) {
  return from.data + uint64_t{row} * from.width;
}
float* rowOf(Activations from, uint32_t row) { return from.data + uint64_t{row} * from.width; }

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const CpuKernels& kernels) : kernels_(kernels), attention_(kernels) {}

  std::string name() const override { return std::string("cpu (") + kernels_.name + ")"; }
  MemoryKind memory() const override { return MemoryKind::HOST; }

  void* allocate(uint64_t bytes) override {
    uint64_t rounded =
        std::max(ROW_ALIGNMENT, (bytes + ROW_ALIGNMENT - 1) / ROW_ALIGNMENT * ROW_ALIGNMENT);
    void* memory = std::aligned_alloc(ROW_ALIGNMENT, rounded);
    KJ_REQUIRE(memory != nullptr, "out of memory", bytes);
    std::memset(memory, 0, rounded);
    return memory;
  }
  void release(void* memory) override { std::free(memory); }
  void upload(void* to, std::span<const std::byte> from) override {
    std::memcpy(to, from.data(), from.size());
  }
  void download(std::span<std::byte> to, const void* from) override {
    std::memcpy(to.data(), from, to.size());
  }

  std::unique_ptr<WeightMatrix> makeMatrix(MatrixSource source) override {
    return std::make_unique<CpuMatrix>(std::move(source));
  }
  std::unique_ptr<KvCache> makeCache(const KvCacheLayout& layout) override {
    return std::make_unique<CpuKvCache>(layout);
  }

  void begin(const Batch& batch) override { batch_ = &batch; }
  void embed(const WeightMatrix& table, uint32_t firstRow, Activations out) override;
  void rmsNorm(ConstActivations in, const float* weight, float epsilon, Activations out) override;
  void multiply(const WeightMatrix& weights, ConstActivations in, const float* bias,
                Activations out) override;
  void rotate(Activations headsOfRows, uint32_t headSize) override;
  void store(KvCache& cache, const AttentionShape& shape, ConstActivations keys,
             ConstActivations values) override;
  void attend(const KvCache& cache, const AttentionShape& shape, ConstActivations queries,
              Activations out) override;
  void gate(ConstActivations gate, ConstActivations up, Activations out) override;
  void clear(Activations out) override { std::fill_n(out.data, out.count(), 0.0f); }
  void add(Activations sum, ConstActivations term, const float* bias) override;
  void gatherRows(ConstActivations in, std::span<const uint32_t> rows, Activations out) override;
  void addScaledRows(Activations sum, std::span<const uint32_t> rows,
                     std::span<const float> factors, ConstActivations terms) override;

 private:
  float sumOfSquares(const float* row, uint32_t width) const;

  const CpuKernels& kernels_;
  CpuAttention attention_;
  const Batch* batch_ = nullptr;
};

void CpuBackend::embed(const WeightMatrix& table, uint32_t firstRow, Activations out) {
  const auto stored = static_cast<const CpuMatrix&>(table).stored();
  for (uint32_t row = 0; row < out.rows; ++row) {
    uint32_t token = batch_->tokens[row];
    bool here = token >= firstRow && token - firstRow < stored.rows;
    if (here) widenRow(stored, token - firstRow, rowOf(out, row));
    if (!here) std::fill_n(rowOf(out, row), out.width, 0.0f);
  }
}

float CpuBackend::sumOfSquares(const float* row, uint32_t width) const {
  float sum = 0;
  kernels_.multiply({.weights = {row, nullptr, 1, width, width, 0, ElementType::F32},
                     .in = row,
                     .inRows = 1,
                     .inStride = width,
                     .out = &sum,
                     .outStride = 1,
                     .bias = nullptr});
  return sum;
}

void CpuBackend::rmsNorm(ConstActivations in, const float* weight, float epsilon, Activations out) {
  for (uint32_t row = 0; row < in.rows; ++row) {
    const float* from = rowOf(in, row);
    float mean = sumOfSquares(from, in.width) / static_cast<float>(in.width);
    float inverse = 1 / std::sqrt(mean + epsilon);
    float* to = rowOf(out, row);
    for (uint32_t i = 0; i < in.width; ++i) to[i] = normed(from[i], inverse, weight[i]);
  }
}

void CpuBackend::multiply(const WeightMatrix& weights, ConstActivations in, const float* bias,
                          Activations out) {
  const auto stored = static_cast<const CpuMatrix&>(weights).stored();
  KJ_REQUIRE(in.width == stored.columns && out.width == stored.rows && in.rows == out.rows,
             "shapes of a product do not fit", in.width, stored.columns, out.width, stored.rows);
  kernels_.multiply({.weights = stored,
                     .in = in.data,
                     .inRows = in.rows,
                     .inStride = in.width,
                     .out = out.data,
                     .outStride = out.width,
                     .bias = bias});
}

void CpuBackend::rotate(Activations headsOfRows, uint32_t headSize) {
  const uint32_t pairs = headSize / 2;
  for (uint32_t row = 0; row < headsOfRows.rows; ++row) {
    const Rotation* rotations = batch_->rotations.data() + uint64_t{row} * pairs;
    float* head = rowOf(headsOfRows, row);
    for (float* end = head + headsOfRows.width; head < end; head += headSize) {
      for (uint32_t i = 0; i < pairs; ++i) {
        rotatePair(head[i], head[i + pairs], rotations[i].cosine, rotations[i].sine);
      }
    }
  }
}

void CpuBackend::store(KvCache& cache, const AttentionShape& shape, ConstActivations keys,
                       ConstActivations values) {
  auto& pages = static_cast<CpuKvCache&>(cache);
  for (const auto& run : batch_->runs) {
    for (uint32_t i = 0; i < run.rows; ++i) {
      uint32_t position = run.firstPosition + i;
      KvBlock block = run.blocks.at(position / pages.blockTokens());
      pages.storeToken(shape.layer, block, position % pages.blockTokens(),
                       rowOf(keys, run.firstRow + i), rowOf(values, run.firstRow + i));
    }
  }
}

void CpuBackend::attend(const KvCache& cache, const AttentionShape& shape, ConstActivations queries,
                        Activations out) {
  const auto& pages = static_cast<const CpuKvCache&>(cache);
  for (const auto& run : batch_->runs) {
    for (uint32_t i = 0; i < run.rows; ++i) {
      attention_.attend(pages, shape, run.blocks, run.firstPosition + i,
                        rowOf(queries, run.firstRow + i), rowOf(out, run.firstRow + i));
    }
  }
}

void CpuBackend::gate(ConstActivations gate, ConstActivations up, Activations out) {
  kernels_.gate(gate.data, up.data, out.data, out.count());
}

void CpuBackend::add(Activations sum, ConstActivations term, const float* bias) {
  for (uint32_t row = 0; row < sum.rows; ++row) {
    float* to = rowOf(sum, row);
    const float* from = rowOf(term, row);
    for (uint32_t i = 0; i < sum.width; ++i) to[i] += from[i];
    for (uint32_t i = 0; bias != nullptr && i < sum.width; ++i) to[i] += bias[i];
  }
}

void CpuBackend::gatherRows(ConstActivations in, std::span<const uint32_t> rows, Activations out) {
  for (uint32_t i = 0; i < rows.size(); ++i) {
    std::copy_n(rowOf(in, rows[i]), in.width, rowOf(out, i));
  }
}

void CpuBackend::addScaledRows(Activations sum, std::span<const uint32_t> rows,
                               std::span<const float> factors, ConstActivations terms) {
  for (uint32_t i = 0; i < rows.size(); ++i) {
    float* to = rowOf(sum, rows[i]);
    const float* from = rowOf(terms, i);
    for (uint32_t k = 0; k < sum.width; ++k) to[k] += factors[i] * from[k];
  }
}

}  // namespace

std::vector<std::string> cpuInstructionSets() {
  std::vector<std::string> names;
  for (const auto* kernels : allKernels()) names.emplace_back(kernels->name);
  return names;
}

kj::Own<Backend> makeCpuBackend(const std::string& instructions) {
  if (instructions.empty()) return kj::heap<CpuBackend>(*allKernels().back());
  for (const auto* kernels : allKernels()) {
    if (kernels->name == instructions) return kj::heap<CpuBackend>(*kernels);
  }
  KJ_FAIL_REQUIRE("this CPU has no such instructions", instructions.c_str());
}

}  // namespace muster::worker

// Paged attention on the CPU.
#pragma once

#include "worker/engine/native/backend.h"
#include "worker/engine/native/cpu_kernels.h"
#include "worker/engine/native/cpu_matrix.h"

#include <vector>

namespace muster::worker {

// Keys and values of a stage. Those of one head and block lie together: shape [layers][blocks]
// [kvHeads][blockTokens][headSize].
class CpuKvCache final : public KvCache {
 public:
  explicit CpuKvCache(const KvCacheLayout& layout);

  // The tokens of a block as rows: as many as asked, from its first one on.
  StoredRows keys(uint32_t layer, KvBlock block, uint32_t kvHead, uint32_t tokens) const;
  StoredRows values(uint32_t layer, KvBlock block, uint32_t kvHead, uint32_t tokens) const;

  // `heads`: the numbers of one token, shape [kvHeads][headSize].
  void storeToken(uint32_t layer, KvBlock block, uint32_t tokenInBlock, const float* keyHeads,
                  const float* valueHeads);
  uint32_t blockTokens() const { return layout_.shape.blockTokens; }

 private:
  uint64_t elementAt(uint32_t layer, KvBlock block, uint32_t kvHead, uint32_t token) const;
  StoredRows rowsOf(const AlignedBytes& bytes, uint64_t element, uint32_t tokens) const;
  void storeHead(AlignedBytes& bytes, uint64_t element, const float* head);

  KvCacheLayout layout_;
  ElementType type_;
  AlignedBytes keys_;
  AlignedBytes values_;
};

// Where a token's attention looks: positions begin .. end - 1.
struct AttentionSpan {
  uint32_t begin = 0;
  uint32_t end = 0;
};
AttentionSpan spanOf(uint32_t position, uint32_t window);

// Computes attention of one token at a time; keeps its room for scores between calls.
class CpuAttention {
 public:
  explicit CpuAttention(const CpuKernels& kernels) : kernels_(kernels) {}
  // `queries`, `out`: shape [heads][headSize].
  void attend(const CpuKvCache& cache, const AttentionShape& shape,
              const std::vector<KvBlock>& blocks, uint32_t position, const float* queries,
              float* out);

 private:
  void attendGroup(const CpuKvCache& cache, const AttentionShape& shape,
                   const std::vector<KvBlock>& blocks, AttentionSpan span, uint32_t kvHead,
                   const float* queries, float* out);

  const CpuKernels& kernels_;
  std::vector<float> scores_;  // shape [heads of a group][tokens]
};

}  // namespace muster::worker

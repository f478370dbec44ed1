#include "worker/engine/native/cpu_attention.h"

#include "worker/engine/native/element_math.h"

#include <kj/debug.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace muster::worker {
namespace {

uint64_t cacheBytes(const KvCacheLayout& layout) {
  return uint64_t{layout.layers} * layout.shape.blocks * layout.kvHeads * layout.shape.blockTokens *
         layout.headSize * bytesPerElement(layout.dtype);
}

// The part of a block that a span covers: tokens begin .. end - 1 of it.
struct BlockPart {
  uint32_t begin;
  uint32_t end;
};
BlockPart partOf(AttentionSpan span, uint32_t block, uint32_t blockTokens) {
  uint32_t first = block * blockTokens;
  return {span.begin > first ? span.begin - first : 0, std::min(blockTokens, span.end - first)};
}

// Without the first `count` rows.
StoredRows dropRows(StoredRows rows, uint32_t count) {
  rows.elements =
      static_cast<const std::byte*>(rows.elements) + count * rows.stride * elementBytes(rows.type);
  rows.rows -= count;
  return rows;
}

}  // namespace

CpuKvCache::CpuKvCache(const KvCacheLayout& layout)
    : layout_(layout),
      type_(elementTypeOf(layout.dtype)),
      keys_(cacheBytes(layout)),
      values_(cacheBytes(layout)) {
  // Pages that no sequence has used yet take no memory.
}

uint64_t CpuKvCache::elementAt(uint32_t layer, KvBlock block, uint32_t kvHead,
                               uint32_t token) const {
  KJ_REQUIRE(layer < layout_.layers && block < layout_.shape.blocks, "no such block", layer, block);
  uint64_t head = (uint64_t{layer} * layout_.shape.blocks + block) * layout_.kvHeads + kvHead;
  return (head * layout_.shape.blockTokens + token) * layout_.headSize;
}

StoredRows CpuKvCache::rowsOf(const AlignedBytes& bytes, uint64_t element, uint32_t tokens) const {
  return {.elements = bytes.data() + element * elementBytes(type_),
          .scales = nullptr,
          .rows = tokens,
          .columns = layout_.headSize,
          .stride = layout_.headSize,
          .scaleStride = 0,
          .type = type_};
}

StoredRows CpuKvCache::keys(uint32_t layer, KvBlock block, uint32_t kvHead, uint32_t tokens) const {
  return rowsOf(keys_, elementAt(layer, block, kvHead, 0), tokens);
}

StoredRows CpuKvCache::values(uint32_t layer, KvBlock block, uint32_t kvHead,
                              uint32_t tokens) const {
  return rowsOf(values_, elementAt(layer, block, kvHead, 0), tokens);
}

void CpuKvCache::storeHead(AlignedBytes& bytes, uint64_t element, const float* head) {
  std::byte* to = bytes.data() + element * elementBytes(type_);
  if (type_ == ElementType::F32) {
    std::memcpy(to, head, layout_.headSize * sizeof(float));
    return;
  }
  auto* halves = reinterpret_cast<uint16_t*>(to);
  std::transform(head, head + layout_.headSize, halves,
                 type_ == ElementType::F16 ? floatToHalf : floatToBfloat);
}

void CpuKvCache::storeToken(uint32_t layer, KvBlock block, uint32_t tokenInBlock,
                            const float* keyHeads, const float* valueHeads) {
  for (uint32_t head = 0; head < layout_.kvHeads; ++head) {
    uint64_t element = elementAt(layer, block, head, tokenInBlock);
    storeHead(keys_, element, keyHeads + uint64_t{head} * layout_.headSize);
    storeHead(values_, element, valueHeads + uint64_t{head} * layout_.headSize);
  }
}

AttentionSpan spanOf(uint32_t position, uint32_t window) {
  uint32_t end = position + 1;
  return {window == 0 || window >= end ? 0 : end - window, end};
}

void CpuAttention::attendGroup(const CpuKvCache& cache, const AttentionShape& shape,
                               const std::vector<KvBlock>& blocks, AttentionSpan span,
                               uint32_t kvHead, const float* queries, float* out) {
  const uint32_t blockTokens = cache.blockTokens();
  const uint32_t group = shape.heads / shape.kvHeads;
  const uint32_t tokens = span.end - span.begin;
  const auto firstBlock = span.begin / blockTokens;
  const auto endBlock = (span.end + blockTokens - 1) / blockTokens;
  scores_.resize(uint64_t{group} * tokens);

  for (uint32_t block = firstBlock; block < endBlock; ++block) {
    BlockPart part = partOf(span, block, blockTokens);
    auto keys = dropRows(cache.keys(shape.layer, blocks[block], kvHead, part.end), part.begin);
    kernels_.multiply({.weights = keys,
                       .in = queries,
                       .inRows = group,
                       .inStride = shape.headSize,
                       .out = scores_.data() + block * blockTokens + part.begin - span.begin,
                       .outStride = tokens,
                       .bias = nullptr});
  }
  const float scale = 1 / std::sqrt(static_cast<float>(shape.headSize));
  for (uint32_t head = 0; head < group; ++head) {
    float* scores = scores_.data() + uint64_t{head} * tokens;
    for (uint32_t i = 0; i < tokens; ++i) scores[i] *= scale;
    float highest = *std::max_element(scores, scores + tokens);
    float inverse = 1 / kernels_.exponentials(scores, tokens, highest);
    for (uint32_t i = 0; i < tokens; ++i) scores[i] *= inverse;
  }
  std::fill_n(out, uint64_t{group} * shape.headSize, 0.0f);
  for (uint32_t block = firstBlock; block < endBlock; ++block) {
    BlockPart part = partOf(span, block, blockTokens);
    auto values = dropRows(cache.values(shape.layer, blocks[block], kvHead, part.end), part.begin);
    for (uint32_t head = 0; head < group; ++head) {
      const float* weights =
          scores_.data() + uint64_t{head} * tokens + block * blockTokens + part.begin - span.begin;
      kernels_.addWeightedRows(values, weights, out + uint64_t{head} * shape.headSize);
    }
  }
}

void CpuAttention::attend(const CpuKvCache& cache, const AttentionShape& shape,
                          const std::vector<KvBlock>& blocks, uint32_t position,
                          const float* queries, float* out) {
  const AttentionSpan span = spanOf(position, shape.window);
  KJ_REQUIRE(blocks.size() * cache.blockTokens() >= span.end, "too few blocks for the position",
             blocks.size(), position);
  const uint64_t groupWidth = uint64_t{shape.heads / shape.kvHeads} * shape.headSize;
  for (uint32_t kvHead = 0; kvHead < shape.kvHeads; ++kvHead) {
    attendGroup(cache, shape, blocks, span, kvHead, queries + kvHead * groupWidth,
                out + kvHead * groupWidth);
  }
}

}  // namespace muster::worker

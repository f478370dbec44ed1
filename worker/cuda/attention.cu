// Paged attention: one block of threads for a query head of a row, one pass over its positions.
//
// The softmax is taken online: each warp keeps the highest score, the sum and the weighted values
// of the positions it has seen, and the warps' parts are joined at the end. Source: Milakov and
// Gimelshein, arXiv 1805.02867; the paging is that of Kwon et al., arXiv 2309.06180.
#include "worker/cuda/elements.cuh"
#include "worker/cuda/launch.cuh"
#include "worker/cuda/operations.cuh"

#include <string>

namespace muster::cuda {
namespace {

constexpr uint32_t ATTENTION_WARPS = 4;
constexpr uint32_t LANE_ELEMENTS = 8;  // of a head, at most
constexpr uint32_t HEAD_SIZE_MAX = WARP * LANE_ELEMENTS;

// Where the numbers of one token's head begin.
__device__ uint64_t elementOf(const MusterCudaCache& cache, uint32_t layer, uint32_t block,
                              uint32_t kvHead, uint32_t token) {
  const uint64_t head = (uint64_t{layer} * cache.blocks + block) * cache.kvHeads + kvHead;
  return (head * cache.blockTokens + token) * cache.headSize;
}

__device__ uint32_t blockOf(const DeviceBatch& batch, uint32_t row, uint32_t position,
                            uint32_t blockTokens) {
  return batch.blocks[batch.firstBlocks[row] + position / blockTokens];
}

template <class Elements>
__global__ void storeKernel(MusterCudaCache cache, DeviceBatch batch, uint32_t layer,
                            const float* keys, const float* values, uint64_t count) {
  const uint64_t at = elementIndex();
  if (at >= count) return;
  const uint32_t width = cache.kvHeads * cache.headSize;
  const auto row = static_cast<uint32_t>(at / width);
  const auto inRow = static_cast<uint32_t>(at % width);
  const uint32_t position = batch.positions[row];
  const uint64_t to = elementOf(cache, layer, blockOf(batch, row, position, cache.blockTokens),
                                inRow / cache.headSize, position % cache.blockTokens) +
                      inRow % cache.headSize;
  static_cast<typename Elements::Stored*>(cache.keys)[to] = Elements::round(keys[at]);
  static_cast<typename Elements::Stored*>(cache.values)[to] = Elements::round(values[at]);
}

// What a warp has seen so far; each lane has every 32nd element of `values`.
struct SoftmaxPart {
  float highest = -INFINITY;
  float sum = 0;
  float values[LANE_ELEMENTS] = {};

  __device__ void scale(float factor) {
    sum *= factor;
    for (float& value : values) value *= factor;
  }
};

template <class Elements>
__device__ void see(SoftmaxPart& part, float score, const typename Elements::Stored* value,
                    uint32_t lane, uint32_t headSize) {
  const float highest = fmaxf(part.highest, score);
  part.scale(__expf(part.highest - highest));  // the first time: of nothing
  const float weight = __expf(score - highest);
  part.highest = highest;
  part.sum += weight;
  for (uint32_t i = 0; lane + i * WARP < headSize; ++i) {
    part.values[i] += weight * Elements::load(value[lane + i * WARP]);
  }
}

// Joins the parts of all warps in their order and writes the head.
__device__ void joinParts(const SoftmaxPart& part, uint32_t warp, uint32_t lane, uint32_t headSize,
                          float* out) {
  __shared__ float highest[ATTENTION_WARPS];
  __shared__ float sums[ATTENTION_WARPS];
  __shared__ float values[ATTENTION_WARPS][HEAD_SIZE_MAX];
  if (lane == 0) {
    highest[warp] = part.highest;
    sums[warp] = part.sum;
  }
  for (uint32_t i = 0; lane + i * WARP < headSize; ++i) {
    values[warp][lane + i * WARP] = part.values[i];
  }
  __syncthreads();
  float top = -INFINITY;
  for (float value : highest) top = fmaxf(top, value);
  float total = 0;
  for (uint32_t w = 0; w < ATTENTION_WARPS; ++w) total += sums[w] * __expf(highest[w] - top);
  for (uint32_t i = threadIdx.x; i < headSize; i += blockDim.x) {
    float sum = 0;
    for (uint32_t w = 0; w < ATTENTION_WARPS; ++w) {
      sum += values[w][i] * __expf(highest[w] - top);
    }
    out[i] = sum / total;
  }
}

template <class Elements>
__global__ void attendKernel(MusterCudaCache cache, MusterCudaAttention attention,
                             DeviceBatch batch, const float* queries, float* out) {
  using Stored = typename Elements::Stored;
  const uint32_t row = blockIdx.x;
  const uint32_t head = blockIdx.y;
  const uint32_t warp = threadIdx.x / WARP;
  const uint32_t lane = threadIdx.x % WARP;
  const uint32_t headSize = cache.headSize;
  const uint32_t kvHead = head * cache.kvHeads / attention.heads;
  const uint32_t end = batch.positions[row] + 1;
  const bool windowed = attention.window != 0 && attention.window < end;
  const uint32_t begin = windowed ? end - attention.window : 0;
  const uint64_t at = (uint64_t{row} * attention.heads + head) * headSize;
  const float factor = rsqrtf(static_cast<float>(headSize));

  float query[LANE_ELEMENTS] = {};
  for (uint32_t i = 0; lane + i * WARP < headSize; ++i) query[i] = queries[at + lane + i * WARP];
  SoftmaxPart part;
  for (uint32_t position = begin + warp; position < end; position += ATTENTION_WARPS) {
    const uint64_t element =
        elementOf(cache, attention.layer, blockOf(batch, row, position, cache.blockTokens), kvHead,
                  position % cache.blockTokens);
    const auto* key = static_cast<const Stored*>(cache.keys) + element;
    float score = 0;
    for (uint32_t i = 0; lane + i * WARP < headSize; ++i) {
      score += query[i] * Elements::load(key[lane + i * WARP]);
    }
    see<Elements>(part, warpSum(score) * factor, static_cast<const Stored*>(cache.values) + element,
                  lane, headSize);
  }
  joinParts(part, warp, lane, headSize, out + at);
}

}  // namespace

void storeTokens(MusterCudaDevice& device, const MusterCudaCache& cache, uint32_t layer,
                 const float* keys, const float* values, uint32_t rows) {
  const uint64_t count = uint64_t{rows} * cache.kvHeads * cache.headSize;
  withElements(cache.type, [&](auto elements) {
    storeKernel<decltype(elements)><<<blocksFor(count), THREADS, 0, device.stream>>>(
        cache, device.batch, layer, keys, values, count);
  });
  launched("store of keys and values");
}

void attend(MusterCudaDevice& device, const MusterCudaCache& cache,
            const MusterCudaAttention& attention, const float* queries, uint32_t rows, float* out) {
  if (cache.headSize > HEAD_SIZE_MAX) {
    throw std::runtime_error("heads of " + std::to_string(cache.headSize) + " numbers; at most " +
                             std::to_string(HEAD_SIZE_MAX) + " are possible");
  }
  const dim3 grid(rows, attention.heads);
  withElements(cache.type, [&](auto elements) {
    attendKernel<decltype(elements)><<<grid, ATTENTION_WARPS * WARP, 0, device.stream>>>(
        cache, attention, device.batch, queries, out);
  });
  launched("attention");
}

}  // namespace muster::cuda

#include "worker/cuda/elements.cuh"
#include "worker/cuda/launch.cuh"
#include "worker/cuda/operations.cuh"

namespace muster::cuda {
namespace {

template <class Elements>
__global__ void embedKernel(const typename Elements::Stored* table, uint32_t tableRows,
                            uint32_t width, uint32_t firstRow, const uint32_t* tokens,
                            uint64_t count, float* out) {
  const uint64_t at = elementIndex();
  if (at >= count) return;
  const uint32_t token = tokens[at / width];
  const bool here = token >= firstRow && token - firstRow < tableRows;
  out[at] = here ? Elements::load(table[uint64_t{token - firstRow} * width + at % width]) : 0.0f;
}

// One block a row.
__global__ void rmsNormKernel(const float* in, const float* weight, float epsilon, uint32_t width,
                              float* out) {
  __shared__ float partial[THREADS / WARP];
  const float* from = in + uint64_t{blockIdx.x} * width;
  float* to = out + uint64_t{blockIdx.x} * width;
  float sum = 0;
  for (uint32_t i = threadIdx.x; i < width; i += blockDim.x) sum += from[i] * from[i];
  sum = warpSum(sum);
  if (threadIdx.x % WARP == 0) partial[threadIdx.x / WARP] = sum;
  __syncthreads();
  float total = 0;
  for (uint32_t warp = 0; warp < THREADS / WARP; ++warp) total += partial[warp];
  const float inverse = rsqrtf(total / static_cast<float>(width) + epsilon);
  for (uint32_t i = threadIdx.x; i < width; i += blockDim.x) {
    to[i] = worker::normed(from[i], inverse, weight[i]);
  }
}

__global__ void rotateKernel(float* heads, const float2* rotations, uint32_t width, uint32_t pairs,
                             uint64_t count) {
  const uint64_t at = elementIndex();  // of a pair
  if (at >= count) return;
  const uint32_t pairsOfRow = width / 2;
  const uint64_t row = at / pairsOfRow;
  const uint32_t inRow = static_cast<uint32_t>(at % pairsOfRow);
  const uint32_t pair = inRow % pairs;
  float* head = heads + row * width + uint64_t{inRow / pairs} * pairs * 2;
  const float2 rotation = rotations[row * pairs + pair];
  worker::rotatePair(head[pair], head[pair + pairs], rotation.x, rotation.y);
}

__global__ void gateKernel(const float* gate, const float* up, float* out, uint64_t count) {
  const uint64_t at = elementIndex();
  if (at < count) out[at] = worker::silu(gate[at]) * up[at];
}

__global__ void addKernel(float* sum, const float* term, const float* bias, uint32_t width,
                          uint64_t count) {
  const uint64_t at = elementIndex();
  if (at >= count) return;
  float value = sum[at];
  if (term != nullptr) value += term[at];
  if (bias != nullptr) value += bias[at % width];
  sum[at] = value;
}

__global__ void gatherKernel(const float* in, uint32_t width, const uint32_t* rows, uint64_t count,
                             float* out) {
  const uint64_t at = elementIndex();
  if (at < count) out[at] = in[uint64_t{rows[at / width]} * width + at % width];
}

__global__ void addScaledKernel(float* sum, uint32_t width, const uint32_t* rows,
                                const float* factors, uint64_t count, const float* terms) {
  const uint64_t at = elementIndex();
  if (at >= count) return;
  sum[uint64_t{rows[at / width]} * width + at % width] += factors[at / width] * terms[at];
}

// Copies row numbers and, unless null, factors to the device.
const uint32_t* uploadRows(MusterCudaDevice& device, const uint32_t* rows, const float* factors,
                           uint32_t count) {
  auto* memory = static_cast<uint32_t*>(device.rows.room(uint64_t{count} * 8));
  cudaCheck(
      cudaMemcpyAsync(memory, rows, uint64_t{count} * 4, cudaMemcpyHostToDevice, device.stream),
      "copy of row numbers");
  if (factors != nullptr) {
    cudaCheck(cudaMemcpyAsync(memory + count, factors, uint64_t{count} * 4, cudaMemcpyHostToDevice,
                              device.stream),
              "copy of factors");
  }
  return memory;
}

}  // namespace

void embed(MusterCudaDevice& device, const MusterCudaMatrix& table, uint32_t firstRow,
           uint32_t rows, float* out) {
  const uint64_t count = uint64_t{rows} * table.columns;
  withElements(table.type, [&](auto elements) {
    using Elements = decltype(elements);
    embedKernel<Elements><<<blocksFor(count), THREADS, 0, device.stream>>>(
        static_cast<const typename Elements::Stored*>(table.elements), table.rows, table.columns,
        firstRow, device.batch.tokens, count, out);
  });
  launched("embed");
}

void rmsNorm(MusterCudaDevice& device, const float* in, const float* weight, float epsilon,
             uint32_t rows, uint32_t width, float* out) {
  rmsNormKernel<<<rows, THREADS, 0, device.stream>>>(in, weight, epsilon, width, out);
  launched("rmsNorm");
}

void rotate(MusterCudaDevice& device, float* heads, uint32_t rows, uint32_t width,
            uint32_t headSize) {
  const uint64_t count = uint64_t{rows} * width / 2;
  rotateKernel<<<blocksFor(count), THREADS, 0, device.stream>>>(heads, device.batch.rotations,
                                                                width, headSize / 2, count);
  launched("rotate");
}

void gate(MusterCudaDevice& device, const float* gate, const float* up, float* out,
          uint64_t count) {
  gateKernel<<<blocksFor(count), THREADS, 0, device.stream>>>(gate, up, out, count);
  launched("gate");
}

void add(MusterCudaDevice& device, float* sum, const float* term, const float* bias, uint32_t rows,
         uint32_t width) {
  const uint64_t count = uint64_t{rows} * width;
  addKernel<<<blocksFor(count), THREADS, 0, device.stream>>>(sum, term, bias, width, count);
  launched("add");
}

void addBias(MusterCudaDevice& device, float* sum, const float* bias, uint32_t rows,
             uint32_t width) {
  add(device, sum, nullptr, bias, rows, width);
}

void gatherRows(MusterCudaDevice& device, const float* in, uint32_t width, const uint32_t* rows,
                uint32_t count, float* out) {
  const uint64_t elements = uint64_t{count} * width;
  gatherKernel<<<blocksFor(elements), THREADS, 0, device.stream>>>(
      in, width, uploadRows(device, rows, nullptr, count), elements, out);
  launched("gatherRows");
}

void addScaledRows(MusterCudaDevice& device, float* sum, uint32_t width, const uint32_t* rows,
                   const float* factors, uint32_t count, const float* terms) {
  const uint64_t elements = uint64_t{count} * width;
  const uint32_t* uploaded = uploadRows(device, rows, factors, count);
  addScaledKernel<<<blocksFor(elements), THREADS, 0, device.stream>>>(
      sum, width, uploaded, reinterpret_cast<const float*>(uploaded + count), elements, terms);
  launched("addScaledRows");
}

}  // namespace muster::cuda

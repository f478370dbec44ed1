// Products with weights: cuBLAS, and kernels of our own for what it does not know: INT8 blocks, and
// activations in another type than the weights.
#include "worker/cuda/elements.cuh"
#include "worker/cuda/launch.cuh"
#include "worker/cuda/operations.cuh"

#include <algorithm>

namespace muster::cuda {
namespace {

// INT8 weights are widened so many floats at a time.
constexpr uint64_t WIDENED_ELEMENTS = 16 << 20;
// Up to so many rows the INT8 weights are read once and multiplied as they are.
constexpr uint32_t INT8_DIRECT_ROWS = 4;

template <class Elements>
__global__ void roundKernel(const float* in, uint64_t count, typename Elements::Stored* out) {
  const uint64_t at = elementIndex();
  if (at < count) out[at] = Elements::round(in[at]);
}

__global__ void widenKernel(const int8_t* elements, const float* scales, uint32_t columns,
                            uint64_t count, float* out) {
  const uint64_t at = elementIndex();
  if (at >= count) return;
  const uint64_t row = at / columns;
  const uint32_t blocks = (columns + INT8_BLOCK_COLUMNS - 1) / INT8_BLOCK_COLUMNS;
  const uint64_t block = at % columns / INT8_BLOCK_COLUMNS;
  out[at] = static_cast<float>(elements[at]) * scales[row * blocks + block];
}

// One warp a row of weights: out[r][n] for all r.
__global__ void int8Kernel(MusterCudaMatrix weights, const float* in, uint32_t inRows, float* out) {
  const uint32_t n = (blockIdx.x * blockDim.x + threadIdx.x) / WARP;
  if (n >= weights.rows) return;
  const uint32_t lane = threadIdx.x % WARP;
  const uint32_t blocks = (weights.columns + INT8_BLOCK_COLUMNS - 1) / INT8_BLOCK_COLUMNS;
  const auto* row = static_cast<const int8_t*>(weights.elements) + uint64_t{n} * weights.columns;
  const float* scales = weights.scales + uint64_t{n} * blocks;
  float sums[INT8_DIRECT_ROWS] = {};
  for (uint32_t k = lane; k < weights.columns; k += WARP) {
    const float weight = static_cast<float>(row[k]) * scales[k / INT8_BLOCK_COLUMNS];
    for (uint32_t r = 0; r < inRows; ++r) {
      sums[r] += weight * in[uint64_t{r} * weights.columns + k];
    }
  }
  for (uint32_t r = 0; r < inRows; ++r) {
    const float sum = warpSum(sums[r]);
    if (lane == 0) out[uint64_t{r} * weights.rows + n] = sum;
  }
}

cudaDataType_t typeOf(MusterCudaType type) {
  if (type == MUSTER_F16) return CUDA_R_16F;
  return type == MUSTER_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

// A row-major matrix is its transpose to cuBLAS: out^T = weights * in^T. `outWidth`: floats from
// one row of `out` to the next.
void blas(MusterCudaDevice& device, const MusterCudaMatrix& weights, const void* in, uint32_t rows,
          float* out, uint32_t outWidth) {
  const float one = 1;
  const float zero = 0;
  const auto type = typeOf(weights.type);
  const auto columns = static_cast<int>(weights.columns);
  cublasCheck(cublasGemmEx(device.cublas, CUBLAS_OP_T, CUBLAS_OP_N, static_cast<int>(weights.rows),
                           static_cast<int>(rows), columns, &one, weights.elements, type, columns,
                           in, type, columns, &zero, out, CUDA_R_32F, static_cast<int>(outWidth),
                           CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
              "product of weights and activations");
}

// The activations in the type of the weights: cuBLAS wants both alike.
const void* converted(MusterCudaDevice& device, MusterCudaType type, const float* in,
                      uint64_t count) {
  if (type == MUSTER_F32) return in;
  void* room = device.converted.room(count * 2);
  withElements(type, [&](auto elements) {
    using Elements = decltype(elements);
    roundKernel<Elements><<<blocksFor(count), THREADS, 0, device.stream>>>(
        in, count, static_cast<typename Elements::Stored*>(room));
  });
  launched("rounding of activations");
  return room;
}

void multiplyInt8(MusterCudaDevice& device, const MusterCudaMatrix& weights, const float* in,
                  uint32_t rows, float* out) {
  if (rows <= INT8_DIRECT_ROWS) {
    int8Kernel<<<blocksFor(uint64_t{weights.rows} * WARP), THREADS, 0, device.stream>>>(weights, in,
                                                                                        rows, out);
    return launched("product with INT8 weights");
  }
  const uint32_t blocks = (weights.columns + INT8_BLOCK_COLUMNS - 1) / INT8_BLOCK_COLUMNS;
  const auto partRows = static_cast<uint32_t>(
      std::clamp<uint64_t>(WIDENED_ELEMENTS / weights.columns, 1, weights.rows));
  auto* wide = static_cast<float*>(device.widened.room(uint64_t{partRows} * weights.columns * 4));
  for (uint32_t first = 0; first < weights.rows; first += partRows) {
    const uint32_t part = std::min(partRows, weights.rows - first);
    const uint64_t count = uint64_t{part} * weights.columns;
    widenKernel<<<blocksFor(count), THREADS, 0, device.stream>>>(
        static_cast<const int8_t*>(weights.elements) + uint64_t{first} * weights.columns,
        weights.scales + uint64_t{first} * blocks, weights.columns, count, wide);
    launched("widening of INT8 weights");
    blas(device, {wide, nullptr, part, weights.columns, MUSTER_F32}, in, rows, out + first,
         weights.rows);
  }
}

}  // namespace

void multiply(MusterCudaDevice& device, const MusterCudaMatrix& weights, const float* in,
              const float* bias, uint32_t rows, float* out) {
  if (weights.type == MUSTER_INT8) {
    multiplyInt8(device, weights, in, rows, out);
  } else {
    const void* typed = converted(device, weights.type, in, uint64_t{rows} * weights.columns);
    blas(device, weights, typed, rows, out, weights.rows);
  }
  if (bias != nullptr) addBias(device, out, bias, rows, weights.rows);
}

}  // namespace muster::cuda

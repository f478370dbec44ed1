// The element-wise operations and gathers; each launches one kernel on the device's stream.
#pragma once

#include "worker/cuda/device.cuh"

namespace muster::cuda {

void embed(MusterCudaDevice& device, const MusterCudaMatrix& table, uint32_t firstRow,
           uint32_t rows, float* out);
void rmsNorm(MusterCudaDevice& device, const float* in, const float* weight, float epsilon,
             uint32_t rows, uint32_t width, float* out);
void rotate(MusterCudaDevice& device, float* heads, uint32_t rows, uint32_t width,
            uint32_t headSize);
void gate(MusterCudaDevice& device, const float* gate, const float* up, float* out, uint64_t count);
void add(MusterCudaDevice& device, float* sum, const float* term, const float* bias, uint32_t rows,
         uint32_t width);
void addBias(MusterCudaDevice& device, float* sum, const float* bias, uint32_t rows,
             uint32_t width);
void gatherRows(MusterCudaDevice& device, const float* in, uint32_t width, const uint32_t* rows,
                uint32_t count, float* out);
void addScaledRows(MusterCudaDevice& device, float* sum, uint32_t width, const uint32_t* rows,
                   const float* factors, uint32_t count, const float* terms);

// product.cu: out[r][n] = sum over k of in[r][k] * weights[n][k], plus bias[n] unless it is null.
void multiply(MusterCudaDevice& device, const MusterCudaMatrix& weights, const float* in,
              const float* bias, uint32_t rows, float* out);

// attention.cu
void storeTokens(MusterCudaDevice& device, const MusterCudaCache& cache, uint32_t layer,
                 const float* keys, const float* values, uint32_t rows);
void attend(MusterCudaDevice& device, const MusterCudaCache& cache,
            const MusterCudaAttention& attention, const float* queries, uint32_t rows, float* out);

}  // namespace muster::cuda

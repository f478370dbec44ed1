// The inner loops of the CPU backend, compiled once for each set of instructions.
//
// The files that implement them are compiled with instructions the running CPU may not have.
// Therefore they, and this header, use nothing of the standard library that has inline functions:
// the linker could keep such a function's copy for everybody.
#pragma once

#include <cstddef>
#include <cstdint>

namespace muster::worker {

// How the elements of a matrix are stored. INT8: a byte times the scale of its block.
enum class ElementType : uint8_t { F32, F16, BF16, INT8 };

inline constexpr size_t INT8_BLOCK = 32;  // columns that share a scale

// Rows of stored elements. Row r begins at element r * stride, its scales at r * scaleStride.
struct StoredRows {
  const void* elements;
  const float* scales;  // INT8 only
  size_t rows;
  size_t columns;
  size_t stride;
  size_t scaleStride;
  ElementType type;
};

struct ProductTask {
  StoredRows weights;
  const float* in;  // row r at in + r * inStride; weights.columns long
  size_t inRows;
  size_t inStride;
  float* out;  // row r at out + r * outStride; weights.rows long
  size_t outStride;
  const float* bias;  // shape [weights.rows], or null
};

struct CpuKernels {
  const char* name;

  // out[r][n] = sum over k of in[r][k] * weights[n][k], plus bias[n]. Each sum is taken in an order
  // that depends on the number of columns alone, so that a row's result does not depend on which
  // rows are computed with it.
  void (*multiply)(const ProductTask& task);

  // out[c] += sum over r of factors[r] * rows[r][c], in the order of r.
  void (*addWeightedRows)(const StoredRows& rows, const float* factors, float* out);

  // values[i] = exp(values[i] - highest); returns their sum.
  float (*exponentials)(float* values, size_t count, float highest);

  // out[i] = silu(gate[i]) * up[i]
  void (*gate)(const float* gate, const float* up, float* out, size_t count);
};

const CpuKernels& plainKernels();
const CpuKernels& avx2Kernels();
const CpuKernels& avx512Kernels();

// All that this CPU can run, the best one last. `count` becomes their number.
const CpuKernels* const* runnableKernels(size_t& count);

}  // namespace muster::worker

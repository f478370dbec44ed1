// Weights as the CPU keeps them.
#pragma once

#include "worker/engine/native/backend.h"
#include "worker/engine/native/cpu_kernels.h"

namespace muster::worker {

ElementType elementTypeOf(Dtype dtype);  // F32, F16 or BF16
size_t elementBytes(ElementType type);

// The bytes of the file, or signed bytes and scales made of them.
class CpuMatrix final : public WeightMatrix {
 public:
  explicit CpuMatrix(MatrixSource source);
  uint32_t rows() const override { return rows_; }
  uint32_t columns() const override { return columns_; }
  StoredRows stored() const;

 private:
  uint32_t rows_;
  uint32_t columns_;
  ElementType type_;
  AlignedBytes elements_;
  AlignedBytes scales_;  // INT8 only: floats, shape [rows][ceil(columns / INT8_BLOCK)]
};

// Rounds a row to bytes: each block's largest magnitude becomes 127, ties to even. `scales`: shape
// [ceil(columns / INT8_BLOCK)].
void quantizeRow(std::span<const float> row, int8_t* elements, float* scales);

// One row as floats.
void widenRow(const StoredRows& rows, size_t row, float* to);

}  // namespace muster::worker

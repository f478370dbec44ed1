#include "worker/engine/native/cpu_matrix.h"

#include "worker/engine/native/element_math.h"

#include <kj/debug.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace muster::worker {
namespace {

size_t blocksOf(size_t columns) { return (columns + INT8_BLOCK - 1) / INT8_BLOCK; }

void widenInt8(const StoredRows& rows, size_t row, float* to) {
  const auto* bytes = static_cast<const int8_t*>(rows.elements) + row * rows.stride;
  const float* scales = rows.scales + row * rows.scaleStride;
  for (size_t i = 0; i < rows.columns; ++i) {
    to[i] = static_cast<float>(bytes[i]) * scales[i / INT8_BLOCK];
  }
}

}  // namespace

ElementType elementTypeOf(Dtype dtype) {
  switch (dtype) {
    case Dtype::F32:
      return ElementType::F32;
    case Dtype::F16:
      return ElementType::F16;
    case Dtype::BF16:
      return ElementType::BF16;
    default:
      KJ_FAIL_REQUIRE("weights are F32, F16 or BF16", toText(dtype).c_str());
  }
}

size_t elementBytes(ElementType type) {
  if (type == ElementType::F32) return 4;
  return type == ElementType::INT8 ? 1 : 2;
}

void quantizeRow(std::span<const float> row, int8_t* elements, float* scales) {
  for (size_t begin = 0; begin < row.size(); begin += INT8_BLOCK) {
    size_t end = std::min(row.size(), begin + INT8_BLOCK);
    float largest = 0;
    for (size_t i = begin; i < end; ++i) largest = std::max(largest, std::abs(row[i]));
    float scale = largest / 127;
    scales[begin / INT8_BLOCK] = scale;
    float inverse = scale == 0 ? 0 : 1 / scale;
    for (size_t i = begin; i < end; ++i) {
      elements[i] = static_cast<int8_t>(std::nearbyint(row[i] * inverse));
    }
  }
}

void widenRow(const StoredRows& rows, size_t row, float* to) {
  const size_t first = row * rows.stride;
  switch (rows.type) {
    case ElementType::F32:
      std::copy_n(static_cast<const float*>(rows.elements) + first, rows.columns, to);
      return;
    case ElementType::F16:
      std::transform(static_cast<const uint16_t*>(rows.elements) + first,
                     static_cast<const uint16_t*>(rows.elements) + first + rows.columns, to,
                     halfToFloat);
      return;
    case ElementType::BF16:
      std::transform(static_cast<const uint16_t*>(rows.elements) + first,
                     static_cast<const uint16_t*>(rows.elements) + first + rows.columns, to,
                     bfloatToFloat);
      return;
    case ElementType::INT8:
      return widenInt8(rows, row, to);
  }
}

CpuMatrix::CpuMatrix(MatrixSource source)
    : rows_(source.rows),
      columns_(source.columns),
      type_(elementTypeOf(source.dtype)),
      elements_(std::move(source.bytes)) {
  KJ_REQUIRE(elements_.size() == uint64_t{rows_} * columns_ * elementBytes(type_),
             "a matrix of another size", elements_.size(), rows_, columns_);
  if (source.format == WeightFormat::STORED) return;
  const StoredRows stored = this->stored();
  AlignedBytes bytes(uint64_t{rows_} * columns_);
  AlignedBytes scales(uint64_t{rows_} * blocksOf(columns_) * sizeof(float));
  std::vector<float> row(columns_);
  for (size_t r = 0; r < rows_; ++r) {
    widenRow(stored, r, row.data());
    quantizeRow(row, reinterpret_cast<int8_t*>(bytes.data()) + r * columns_,
                reinterpret_cast<float*>(scales.data()) + r * blocksOf(columns_));
  }
  elements_ = std::move(bytes);
  scales_ = std::move(scales);
  type_ = ElementType::INT8;
}

StoredRows CpuMatrix::stored() const {
  return {.elements = elements_.data(),
          .scales = reinterpret_cast<const float*>(scales_.data()),
          .rows = rows_,
          .columns = columns_,
          .stride = columns_,
          .scaleStride = blocksOf(columns_),
          .type = type_};
}

}  // namespace muster::worker

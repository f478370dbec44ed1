// The kernels in terms of `Lanes`, a few numbers that are computed together. Included once by each
// file that defines Lanes for one set of instructions; everything has internal linkage.
//
// Lanes has COUNT (a power of two, at most INT8_BLOCK), the type Float, zero(), all(float),
// load(const float*), store(float*, Float), loadF16, loadBf16, loadInt8, oneF16, multiplyAdd(a, b,
// c) = a * b + c, min, max, sum(Float), nearest(Float), timesPowerOfTwo(Float, Float).
#pragma once

#include "worker/engine/native/cpu_kernels.h"

namespace muster::worker {
namespace {

using Float = Lanes::Float;

// Readers of a row: COUNT elements from column `k`, or a single one.
struct F32Row {
  const float* at;
  F32Row(const StoredRows& rows, size_t row)
      : at(static_cast<const float*>(rows.elements) + row * rows.stride) {}
  Float load(size_t k) const { return Lanes::load(at + k); }
  float one(size_t k) const { return at[k]; }
};

struct F16Row {
  const uint16_t* at;
  F16Row(const StoredRows& rows, size_t row)
      : at(static_cast<const uint16_t*>(rows.elements) + row * rows.stride) {}
  Float load(size_t k) const { return Lanes::loadF16(at + k); }
  float one(size_t k) const { return Lanes::oneF16(at[k]); }
};

struct Bf16Row {
  const uint16_t* at;
  Bf16Row(const StoredRows& rows, size_t row)
      : at(static_cast<const uint16_t*>(rows.elements) + row * rows.stride) {}
  Float load(size_t k) const { return Lanes::loadBf16(at + k); }
  float one(size_t k) const {
    return __builtin_bit_cast(float, static_cast<uint32_t>(at[k]) << 16);
  }
};

struct Int8Row {
  const int8_t* at;
  const float* scales;
  Int8Row(const StoredRows& rows, size_t row)
      : at(static_cast<const int8_t*>(rows.elements) + row * rows.stride),
        scales(rows.scales + row * rows.scaleStride) {}
  Float load(size_t k) const {
    return Lanes::loadInt8(at + k) * Lanes::all(scales[k / INT8_BLOCK]);
  }
  float one(size_t k) const { return static_cast<float>(at[k]) * scales[k / INT8_BLOCK]; }
};

// ROWS rows of the input against OUTS rows of the weights; the sums stay in registers.
template <class Row, size_t ROWS, size_t OUTS>
void multiplyTile(const ProductTask& task, size_t firstRow, size_t firstOut) {
  const size_t columns = task.weights.columns;
  const float* in = task.in + firstRow * task.inStride;
  Float sums[ROWS][OUTS];
#pragma GCC unroll 8
  for (size_t r = 0; r < ROWS; ++r) {
#pragma GCC unroll 8
    for (size_t n = 0; n < OUTS; ++n) sums[r][n] = Lanes::zero();
  }
  size_t k = 0;
  for (; k + Lanes::COUNT <= columns; k += Lanes::COUNT) {
    Float weights[OUTS];
#pragma GCC unroll 8
    for (size_t n = 0; n < OUTS; ++n) {
      const Row row(task.weights, firstOut + n);
      weights[n] = row.load(k);
      // A single row of input waits for memory: the next tile's weights come meanwhile.
      if (ROWS == 1) __builtin_prefetch(row.at + OUTS * task.weights.stride + k);
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < ROWS; ++r) {
      Float value = Lanes::load(in + r * task.inStride + k);
#pragma GCC unroll 8
      for (size_t n = 0; n < OUTS; ++n) {
        sums[r][n] = Lanes::multiplyAdd(value, weights[n], sums[r][n]);
      }
    }
  }
#pragma GCC unroll 8
  for (size_t n = 0; n < OUTS; ++n) {
    const Row row(task.weights, firstOut + n);
    const float bias = task.bias == nullptr ? 0 : task.bias[firstOut + n];
#pragma GCC unroll 8
    for (size_t r = 0; r < ROWS; ++r) {
      float sum = Lanes::sum(sums[r][n]);
      for (size_t i = k; i < columns; ++i) sum += in[r * task.inStride + i] * row.one(i);
      task.out[(firstRow + r) * task.outStride + firstOut + n] = sum + bias;
    }
  }
}

constexpr size_t ROW_BLOCK_BYTES = 512 << 10;  // of input rows
constexpr size_t OUT_BLOCK = 48;               // weights: 96 KiB of bf16 at 1024 columns

template <class Row, size_t ROWS>
void multiplyOuts(const ProductTask& task, size_t firstRow, size_t begin, size_t end) {
  constexpr size_t OUTS = ROWS == 1 ? Lanes::OUTS_OF_ONE_ROW : Lanes::OUTS;
  size_t n = begin;
  for (; n + OUTS <= end; n += OUTS) multiplyTile<Row, ROWS, OUTS>(task, firstRow, n);
  for (; n < end; ++n) multiplyTile<Row, ROWS, 1>(task, firstRow, n);
}

// Rows `begin` to `end` of the input against a block of weights that stays in the second-level
// cache; the few rows of a tile stay in the first-level one meanwhile.
template <class Row>
void multiplyBlock(const ProductTask& task, size_t begin, size_t end) {
  for (size_t n = 0; n < task.weights.rows; n += OUT_BLOCK) {
    const size_t outEnd = n + OUT_BLOCK < task.weights.rows ? n + OUT_BLOCK : task.weights.rows;
    size_t r = begin;
    for (; r + Lanes::ROWS <= end; r += Lanes::ROWS) {
      multiplyOuts<Row, Lanes::ROWS>(task, r, n, outEnd);
    }
    for (; r < end; ++r) multiplyOuts<Row, 1>(task, r, n, outEnd);
  }
}

// Weights are fetched from memory once for each block of rows.
template <class Row>
void multiplyWith(const ProductTask& task) {
  if (task.inRows == 1) return multiplyOuts<Row, 1>(task, 0, 0, task.weights.rows);
  size_t block = ROW_BLOCK_BYTES / (task.weights.columns * sizeof(float) + 1);
  block = (block / Lanes::ROWS + 1) * Lanes::ROWS;
  for (size_t begin = 0; begin < task.inRows; begin += block) {
    multiplyBlock<Row>(task, begin, begin + block < task.inRows ? begin + block : task.inRows);
  }
}

void multiply(const ProductTask& task) {
  switch (task.weights.type) {
    case ElementType::F32:
      return multiplyWith<F32Row>(task);
    case ElementType::F16:
      return multiplyWith<F16Row>(task);
    case ElementType::BF16:
      return multiplyWith<Bf16Row>(task);
    case ElementType::INT8:
      return multiplyWith<Int8Row>(task);
  }
}

template <class Row>
void addRowsWith(const StoredRows& rows, const float* factors, float* out) {
  size_t c = 0;
  for (; c + Lanes::COUNT <= rows.columns; c += Lanes::COUNT) {
    Float sum = Lanes::load(out + c);
    for (size_t r = 0; r < rows.rows; ++r) {
      sum = Lanes::multiplyAdd(Lanes::all(factors[r]), Row(rows, r).load(c), sum);
    }
    Lanes::store(out + c, sum);
  }
  for (; c < rows.columns; ++c) {
    for (size_t r = 0; r < rows.rows; ++r) out[c] += factors[r] * Row(rows, r).one(c);
  }
}

void addWeightedRows(const StoredRows& rows, const float* factors, float* out) {
  switch (rows.type) {
    case ElementType::F32:
      return addRowsWith<F32Row>(rows, factors, out);
    case ElementType::F16:
      return addRowsWith<F16Row>(rows, factors, out);
    case ElementType::BF16:
      return addRowsWith<Bf16Row>(rows, factors, out);
    case ElementType::INT8:
      return addRowsWith<Int8Row>(rows, factors, out);
  }
}

// e^x as 2^n times e^r, |r| <= ln(2) / 2, with the Taylor polynomial of e^r: relative error below
// 2e-7. What would be no normal number is brought to the nearest that is.
Float exponential(Float x) {
  x = Lanes::max(Lanes::min(x, Lanes::all(88.0f)), Lanes::all(-87.0f));
  const Float n = Lanes::nearest(x * Lanes::all(1.44269504f));
  // ln(2) in two parts, so that n times the first is exact.
  Float r = Lanes::multiplyAdd(n, Lanes::all(-0.693359375f), x);
  r = Lanes::multiplyAdd(n, Lanes::all(2.12194440e-4f), r);
  constexpr float TERMS[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
  Float e = Lanes::all(1.0f / 5040);
#pragma GCC unroll 8
  for (float term : TERMS) e = Lanes::multiplyAdd(e, r, Lanes::all(term));
  return Lanes::timesPowerOfTwo(e, n);
}

// Loads and stores of fewer than COUNT numbers go through a full set of lanes.
Float loadSome(const float* from, size_t count, float otherwise) {
  float values[Lanes::COUNT];
  for (size_t i = 0; i < Lanes::COUNT; ++i) values[i] = i < count ? from[i] : otherwise;
  return Lanes::load(values);
}

void storeSome(float* to, size_t count, Float value) {
  float values[Lanes::COUNT];
  Lanes::store(values, value);
  for (size_t i = 0; i < count; ++i) to[i] = values[i];
}

float exponentials(float* values, size_t count, float highest) {
  const Float shift = Lanes::all(highest);
  Float sum = Lanes::zero();
  size_t i = 0;
  for (; i + Lanes::COUNT <= count; i += Lanes::COUNT) {
    const Float e = exponential(Lanes::load(values + i) - shift);
    Lanes::store(values + i, e);
    sum = sum + e;
  }
  float rest = 0;
  if (i < count) {
    storeSome(values + i, count - i, exponential(loadSome(values + i, count - i, 0) - shift));
    for (; i < count; ++i) rest += values[i];
  }
  return Lanes::sum(sum) + rest;
}

Float gated(Float gate, Float up) {
  const Float one = Lanes::all(1.0f);
  return gate / (one + exponential(Lanes::zero() - gate)) * up;
}

void gate(const float* gate, const float* up, float* out, size_t count) {
  size_t i = 0;
  for (; i + Lanes::COUNT <= count; i += Lanes::COUNT) {
    Lanes::store(out + i, gated(Lanes::load(gate + i), Lanes::load(up + i)));
  }
  if (i < count) {
    storeSome(out + i, count - i,
              gated(loadSome(gate + i, count - i, 0), loadSome(up + i, count - i, 0)));
  }
}

}  // namespace
}  // namespace muster::worker

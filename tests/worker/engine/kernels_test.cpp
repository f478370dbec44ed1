// The inner loops of each set of instructions, against arithmetic in double precision.
#include "worker/engine/native/cpu_kernels.h"
#include "worker/engine/native/cpu_matrix.h"
#include "worker/engine/native/element_math.h"
#include "worker/engine/native/expert_routing.h"
#include "worker/engine/native/rope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace muster::worker::kernels_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<const CpuKernels*> runnable() {
  size_t count = 0;
  const CpuKernels* const* kernels = runnableKernels(count);
  return {kernels, kernels + count};
}

std::vector<float> randomFloats(std::mt19937_64& random, size_t count) {
  std::vector<float> values(count);
  for (float& value : values) {
    value = static_cast<float>(static_cast<double>(random() >> 11) * 0x1p-52 - 1);
  }
  return values;
}

AlignedBytes storedAs(Dtype dtype, const std::vector<float>& values) {
  AlignedBytes bytes(values.size() * bytesPerElement(dtype));
  for (size_t i = 0; i < values.size(); ++i) {
    if (dtype == Dtype::F32) {
      std::memcpy(bytes.data() + i * 4, &values[i], 4);
    } else {
      uint16_t bits = dtype == Dtype::F16 ? floatToHalf(values[i]) : floatToBfloat(values[i]);
      std::memcpy(bytes.data() + i * 2, &bits, 2);
    }
  }
  return bytes;
}

struct Format {
  Dtype dtype;
  WeightFormat format;
};
constexpr Format FORMATS[] = {{Dtype::F32, WeightFormat::STORED},
                              {Dtype::F16, WeightFormat::STORED},
                              {Dtype::BF16, WeightFormat::STORED},
                              {Dtype::F32, WeightFormat::INT8}};

CpuMatrix matrixOf(Format format, uint32_t rows, uint32_t columns,
                   const std::vector<float>& values) {
  return CpuMatrix({rows, columns, format.dtype, format.format, storedAs(format.dtype, values)});
}

TEST(CpuKernels, multiplyMatricesOfAnyShape) {
  std::mt19937_64 random(1);
  for (const auto* kernels : runnable()) {
    for (const auto& format : FORMATS) {
      for (auto [rows, outs, columns] :
           {std::array{1, 1, 1}, {1, 9, 33}, {2, 4, 64}, {7, 5, 100}, {13, 17, 47}, {25, 8, 96}}) {
        SCOPED_TRACE(std::string(kernels->name) + " " + toText(format.dtype) + " columns " +
                     std::to_string(columns));
        auto matrix = matrixOf(format, outs, columns, randomFloats(random, outs * columns));
        auto stored = matrix.stored();
        auto in = randomFloats(random, rows * columns);
        auto bias = randomFloats(random, outs);
        std::vector<float> out(rows * outs);
        kernels->multiply({stored, in.data(), static_cast<size_t>(rows),
                           static_cast<size_t>(columns), out.data(), static_cast<size_t>(outs),
                           bias.data()});
        std::vector<float> weights(columns);
        for (int n = 0; n < outs; ++n) {
          widenRow(stored, n, weights.data());
          for (int r = 0; r < rows; ++r) {
            double wanted = bias[n];
            for (int k = 0; k < columns; ++k) wanted += double{in[r * columns + k]} * weights[k];
            ASSERT_NEAR(out[r * outs + n], wanted, 1e-5) << r << " " << n;
          }
        }
      }
    }
  }
}

TEST(CpuKernels, giveARowTheSameBitsInAnyCompany) {
  std::mt19937_64 random(2);
  constexpr uint32_t OUTS = 11;
  constexpr uint32_t COLUMNS = 203;
  auto in = randomFloats(random, 20 * COLUMNS);
  for (const auto* kernels : runnable()) {
    for (const auto& format : FORMATS) {
      auto matrix = matrixOf(format, OUTS, COLUMNS, randomFloats(random, OUTS * COLUMNS));
      std::vector<float> together(20 * OUTS);
      kernels->multiply({matrix.stored(), in.data(), 20, COLUMNS, together.data(), OUTS, nullptr});
      for (size_t r = 0; r < 20; ++r) {
        std::vector<float> alone(OUTS);
        kernels->multiply(
            {matrix.stored(), in.data() + r * COLUMNS, 1, COLUMNS, alone.data(), OUTS, nullptr});
        ASSERT_EQ(std::memcmp(alone.data(), together.data() + r * OUTS, sizeof(float) * OUTS), 0)
            << kernels->name << " row " << r;
      }
    }
  }
}

TEST(CpuKernels, addWeightedRows) {
  std::mt19937_64 random(3);
  auto factors = randomFloats(random, 5);
  for (const auto* kernels : runnable()) {
    for (const auto& format : FORMATS) {
      auto matrix = matrixOf(format, 5, 70, randomFloats(random, 5 * 70));
      std::vector<float> out(70, 0.5f);
      kernels->addWeightedRows(matrix.stored(), factors.data(), out.data());
      std::vector<double> wanted(70, 0.5);
      std::vector<float> row(70);
      for (size_t r = 0; r < 5; ++r) {
        widenRow(matrix.stored(), r, row.data());
        for (size_t c = 0; c < 70; ++c) wanted[c] += double{factors[r]} * row[c];
      }
      for (size_t c = 0; c < 70; ++c) ASSERT_NEAR(out[c], wanted[c], 1e-5) << kernels->name;
    }
  }
}

TEST(CpuKernels, takeExponentialsAndGates) {
  std::vector<float> values;
  for (int i = 0; i <= 1000; ++i) values.push_back(-80.0f + static_cast<float>(i) * 0.08f);
  for (const auto* kernels : runnable()) {
    SCOPED_TRACE(kernels->name);
    auto taken = values;
    float sum = kernels->exponentials(taken.data(), taken.size(), 0);
    double wantedSum = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      double wanted = std::exp(double{values[i]});
      wantedSum += wanted;
      ASSERT_NEAR(taken[i] / wanted, 1, 3e-7) << values[i];
    }
    EXPECT_NEAR(sum / wantedSum, 1, 1e-6);

    std::vector<float> gated(values.size());
    std::vector<float> up(values.size(), 2.0f);
    auto gate = values;
    for (float& value : gate) value += 40;  // both signs
    kernels->gate(gate.data(), up.data(), gated.data(), gate.size());
    for (size_t i = 0; i < gate.size(); ++i) {
      double wanted = 2 * double{gate[i]} / (1 + std::exp(-double{gate[i]}));
      ASSERT_NEAR(gated[i], wanted, 1e-6 + 1e-6 * std::abs(wanted)) << gate[i];
      ASSERT_NEAR(gated[i], 2 * silu(gate[i]), 1e-6 + 1e-6 * std::abs(wanted));
    }
  }
}

TEST(CpuKernels, staySmallWhereExponentialsVanish) {
  for (const auto* kernels : runnable()) {
    std::vector<float> values{-std::numeric_limits<float>::infinity(), -1000, 0};
    float sum = kernels->exponentials(values.data(), values.size(), 0);
    EXPECT_LT(values[0], 1e-37f);
    EXPECT_LT(values[1], 1e-37f);
    EXPECT_NEAR(sum, 1, 1e-6);
  }
}

TEST(ElementMath, convertsHalvesBothWays) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = halfToFloat(half);
    if (!std::isfinite(value)) continue;
    ASSERT_EQ(floatToHalf(value), half);
  }
  EXPECT_EQ(halfToFloat(0x3c00), 1.0f);
  EXPECT_EQ(halfToFloat(0x0001), 0x1p-24f);
  EXPECT_EQ(halfToFloat(0x7bff), 65504.0f);
  EXPECT_TRUE(std::isinf(halfToFloat(0xfc00)));
  EXPECT_EQ(floatToHalf(65519.0f), 0x7bff);
  EXPECT_EQ(floatToHalf(65520.0f), 0x7c00);
  EXPECT_EQ(floatToHalf(1.0f + 0x1p-11f), 0x3c00);   // a tie goes to even
  EXPECT_EQ(floatToBfloat(1.0f + 0x1p-8f), 0x3f80);  // a tie goes to even
  EXPECT_EQ(floatToBfloat(1.0f + 3 * 0x1p-8f), 0x3f82);
  EXPECT_EQ(bfloatToFloat(0x4049), 3.140625f);
}

TEST(Quantisation, keepsTheLargestOfEachBlock) {
  std::vector<float> row(40, 0.0f);
  row[3] = -2.54f;
  row[4] = 1.27f;
  row[39] = 0.5f;
  std::vector<int8_t> bytes(40);
  std::vector<float> scales(2);
  quantizeRow(row, bytes.data(), scales.data());
  EXPECT_EQ(bytes[3], -127);
  EXPECT_EQ(bytes[4], 64);  // 63.5 goes to even
  EXPECT_EQ(bytes[39], 127);
  EXPECT_FLOAT_EQ(scales[0], 0.02f);
  std::fill(row.begin(), row.end(), 0.0f);
  quantizeRow(row, bytes.data(), scales.data());
  EXPECT_EQ(bytes[3], 0);
}

TEST(ExpertRouting, takesTheBestAndTiesToTheLowerNumber) {
  const std::vector<float> scores{1, 3, 3, 0, /**/ 2, 2, 2, 2};
  auto routed = routeTokens(scores, 4, 2);
  EXPECT_THAT(routed[0].rows, ElementsAre(1));
  EXPECT_THAT(routed[1].rows, ElementsAre(0, 1));
  EXPECT_THAT(routed[2].rows, ElementsAre(0));
  EXPECT_TRUE(routed[3].rows.empty());
  EXPECT_THAT(routed[1].factors, ElementsAre(0.5f, 0.5f));
}

TEST(Rope, refusesScalingsItCannotCompute) {
  sharding::ModelSpec spec;
  spec.headSize = 16;
  struct Case {
    const char* scaling;
    const char* says;
  };
  for (const Case& c : {Case{R"({"rope_type": "dynamic", "factor": 2})", "\"dynamic\" is not one"},
                        Case{R"({"type": "linear"})", "factor is missing"},
                        Case{R"({"rope_type": "llama3", "factor": 8, "low_freq_factor": 4,
                          "high_freq_factor": 1, "original_max_position_embeddings": 64})",
                             "low_freq_factor >= high_freq_factor"}}) {
    spec.ropeScaling = c.scaling;
    auto rope = RopeTable::of(spec);
    ASSERT_FALSE(rope);
    EXPECT_THAT(rope.refusal().text, HasSubstr(c.says));
  }
}

}  // namespace
}  // namespace muster::worker::kernels_test

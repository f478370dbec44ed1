#include "tests/support/logit_checks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace muster::testing {
namespace {

size_t bestOf(const std::vector<float>& row) {
  return static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

float largestOf(const std::vector<float>& row) {
  float largest = 0;
  for (float value : row) largest = std::max(largest, std::abs(value));
  return largest;
}

// By how much the best token leads.
float marginOf(std::vector<float> row) {
  std::partial_sort(row.begin(), row.begin() + 2, row.end(), std::greater<>());
  return row[0] - row[1];
}

float distance(const std::vector<float>& a, const std::vector<float>& b) {
  float largest = 0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

}  // namespace

void expectExact(const LogitRows& computed, const LogitRows& wanted) {
  ASSERT_EQ(computed.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_LE(distance(computed[i], wanted[i]), 1e-3f) << "position " << i;
    EXPECT_EQ(bestOf(computed[i]), bestOf(wanted[i])) << "position " << i;
  }
}

void expectClose(const LogitRows& computed, const LogitRows& wanted) {
  ASSERT_EQ(computed.size(), wanted.size());
  size_t clear = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const float allowed = 2e-2f * largestOf(wanted[i]);
    EXPECT_LE(distance(computed[i], wanted[i]), allowed) << "position " << i;
    if (marginOf(wanted[i]) <= 2 * allowed) continue;
    ++clear;
    EXPECT_EQ(bestOf(computed[i]), bestOf(wanted[i])) << "position " << i;
  }
  EXPECT_GE(10 * clear, 9 * wanted.size()) << "too few positions say anything";
}

}  // namespace muster::testing

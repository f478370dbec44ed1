// What the fuzz targets share. A target aborts when something does not hold; the fuzzer then keeps
// the input.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace muster::fuzz {

inline std::string_view textOf(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

inline void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

inline void checkRefusal(const Refusal& refusal) {
  check(!refusal.text.empty(), "a refusal says why");
}

}  // namespace muster::fuzz

#include "protocol/model.h"

#include <kj/debug.h>

namespace muster {

uint32_t bytesPerElement(Dtype dtype) {
  switch (dtype) {
    case Dtype::I8:
    case Dtype::U8:
    case Dtype::BOOL:
    case Dtype::F8_E4M3:
    case Dtype::F8_E5M2:
      return 1;
    case Dtype::F16:
    case Dtype::BF16:
    case Dtype::I16:
      return 2;
    case Dtype::F32:
    case Dtype::I32:
      return 4;
    case Dtype::F64:
    case Dtype::I64:
      return 8;
  }
  KJ_FAIL_REQUIRE("dtype beyond its enumeration", static_cast<int>(dtype));
}

namespace {

struct DtypeName {
  Dtype dtype;
  std::string_view name;
};
constexpr DtypeName DTYPE_NAMES[] = {
    {Dtype::F32, "F32"},   {Dtype::F16, "F16"},         {Dtype::BF16, "BF16"},
    {Dtype::F64, "F64"},   {Dtype::I8, "I8"},           {Dtype::U8, "U8"},
    {Dtype::I16, "I16"},   {Dtype::I32, "I32"},         {Dtype::I64, "I64"},
    {Dtype::BOOL, "BOOL"}, {Dtype::F8_E4M3, "F8_E4M3"}, {Dtype::F8_E5M2, "F8_E5M2"},
};

}  // namespace

std::string toText(Dtype dtype) {
  for (const auto& row : DTYPE_NAMES) {
    if (row.dtype == dtype) return std::string(row.name);
  }
  KJ_FAIL_REQUIRE("dtype beyond its enumeration", static_cast<int>(dtype));
}

std::optional<Dtype> parseDtype(std::string_view text) {
  for (const auto& row : DTYPE_NAMES) {
    if (row.name == text) return row.dtype;
  }
  return std::nullopt;
}

}  // namespace muster

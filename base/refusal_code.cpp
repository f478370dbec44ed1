#include "base/refusal_code.h"

#include "base/refusal_pages_input.h"
#include "base/refusal_pages_placement.h"
#include "base/refusal_pages_runtime.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace muster {
namespace {

// One table out of the rows of all classes, made by the compiler.
template <size_t... sizes>
constexpr auto concatenate(const RefusalInfo (&... parts)[sizes]) {
  std::array<RefusalInfo, (sizes + ...)> all{};
  size_t next = 0;
  auto append = [&](const RefusalInfo* rows, size_t count) {
    for (size_t i = 0; i < count; ++i) all[next++] = rows[i];
  };
  (append(parts, sizes), ...);
  return all;
}

constexpr auto TABLE =
    concatenate(refusal_pages::INPUT, refusal_pages::IDENTITY, refusal_pages::CONFLICT,
                refusal_pages::PLACEMENT, refusal_pages::NODE, refusal_pages::ENGINE,
                refusal_pages::CLUSTER, refusal_pages::INTERNAL);

// Lookup is a binary search, and a code that had two rows would have two meanings.
static_assert(std::ranges::is_sorted(TABLE, {}, &RefusalInfo::code) &&
              std::ranges::adjacent_find(TABLE, {}, &RefusalInfo::code) == TABLE.end());

const RefusalInfo* find(RefusalCode code) {
  auto row = std::ranges::lower_bound(TABLE, code, {}, &RefusalInfo::code);
  return row != TABLE.end() && row->code == code ? &*row : nullptr;
}

}  // namespace

// A code without a row can only come from a newer peer; to us it is an internal error of that peer.
const RefusalInfo& refusalInfo(RefusalCode code) {
  const auto* row = find(code);
  return row != nullptr ? *row : TABLE.back();
}

std::span<const RefusalInfo> allRefusals() { return TABLE; }

std::string toText(RefusalCode code) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "E%04u", static_cast<unsigned>(code) % 10'000u);
  return text.data();
}

// Takes "E0401" and "e0401"; nothing when the text is no known code.
std::optional<RefusalCode> parseRefusalCode(std::string_view text) {
  if (text.size() != 5 || (text[0] != 'E' && text[0] != 'e')) return std::nullopt;
  unsigned number = 0;
  for (char digit : text.substr(1)) {
    if (digit < '0' || digit > '9') return std::nullopt;
    number = number * 10 + static_cast<unsigned>(digit - '0');
  }
  const auto* row = find(static_cast<RefusalCode>(number));
  if (row == nullptr) return std::nullopt;
  return row->code;
}

}  // namespace muster

#include "base/ids.h"

#include <cstdio>

namespace muster {

std::string toText(const Guid& guid) {
  std::array<char, 33> text{};
  std::snprintf(text.data(), text.size(), "%016llx%016llx",
                static_cast<unsigned long long>(guid.high),
                static_cast<unsigned long long>(guid.low));
  return text.data();
}

}  // namespace muster
